"""How bright each site is relative to the others, learnt from many reconstructed images.

Given which sites hold an atom, an image is linear in the brightnesses b of the sites: with the
occupations s_t of shot t, ``y_t = M S_t b + k_t + n_t``, ``S_t = diag(s_t)``. All shots together
are one weighted least squares problem with the normal matrix ``Σ_t w_t S_t MᵀM S_t``, which has
the sparsity pattern of MᵀM, and takes the light of the neighbours into account. Of an occupation
that is only probable the expectation is taken: ``<s_i s_j>`` is ``p_i p_j``, and ``p_i`` where
i = j.

Two things are unknown besides. The background of a reconstruction that knew no map has taken over
part of the unevenness: a further, coarse map of the background, the same for all shots, is fitted
together with b. And few shots do not tell much about a single site: deviations of b from the line
through the eight nearest sites are penalised, ``ρ |(1 - P) b|²``, by as much as lets one half of
the shots predict the other half best. The more atoms a site has held, the less that counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.defects import fill_bad_pixels
from napari_coldatoms.lattice.linear import estimate_brightness
from napari_coldatoms.lattice.mesh import Mesh
from napari_coldatoms.lattice.misfit import Misfit
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.setup import Setup
from napari_coldatoms.lattice.sums import dot

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FloatArray = NDArray[np.float64]

_MESH = 30.0  # px between the nodes of the background
_NEAREST = 8
_STIFFNESS = 10.0 ** np.arange(6, -4, -1)  # ρ in units of what one atom tells; stiff ones first
_WITHOUT_TRIAL = 1e3
_TOWARDS_MEAN = 0.05  # atoms' worth
_LEVEL_RIDGE = 1e-3  # where all sites are always occupied, background and light look alike
_DIMMEST, _BRIGHTEST = 0.05, 20.0
_TOLERANCE = 1e-4
_MOST_STEPS = 3000
_MOST_COARSE = 14  # steps of the coarse mesh along each side of the frame


def learn_brightness(
    setup: Setup, images: Iterable[ArrayLike], results: Iterable[Reconstruction]
) -> FloatArray:
    """Learn the brightness map of a lattice.

    Reconstructing with the map and learning once more improves both: the first decisions, made
    without a map, are worst where the map is needed most.

    Parameters
    ----------
    setup : Setup
        Lattice, PSF and frame.
    images : iterable of (y, x) arrays
        Counts, as reconstructed. Taken one at a time.
    results : iterable of Reconstruction
        One for each image. Those without contrast or valid sites are left out.

    Returns
    -------
    (n,) array
        Brightness of each site relative to the mean of those that were seen occupied. What was
        hardly ever seen is as its neighbours are.

    Raises
    ------
    ValueError
        If there are not as many results as images, or none has contrast.
    """
    halves: list[_Equations | None] = [None, None]
    seen = np.zeros(len(setup.lattice))
    start = None
    count = 0
    mesh = Mesh(setup, _MESH)
    for image, result in zip(images, results, strict=True):
        if not (result.has_contrast and result.valid.any()):
            continue
        if start is None:
            start = result.parameters.brightness * _relative(result)
        more = _equations(setup, mesh, np.asarray(image, dtype=np.float64), result, start)
        have = halves[count % 2]
        halves[count % 2] = more if have is None else have + more
        seen += np.where(result.valid, np.nan_to_num(result.probability), 0.0)
        count += 1
    first, second = halves
    if first is None or start is None:
        raise ValueError("expected reconstructions with contrast, found none")
    known = seen > 0.5
    if not known.any():
        raise ValueError("expected sites that were seen occupied, found none")
    prior = _Prior(setup, mesh, start, float(np.average(start, weights=seen)))
    stiffness = _WITHOUT_TRIAL if second is None else prior.best_stiffness(first, second)
    everything = first if second is None else first + second
    brightness = start + prior.solve(everything, stiffness)[: len(start)]
    relative = brightness / brightness[known].mean()
    relative = np.clip(relative, _DIMMEST, _BRIGHTEST)
    return np.asarray(relative / relative[known].mean())


@dataclass(frozen=True, eq=False)
class _Equations:
    """Normal equations for changes of the brightnesses and of the background's nodes."""

    matrix: csr_array
    right: FloatArray
    atom: float  # what one atom tells about its site
    shots: int = 1

    def __add__(self, other: _Equations) -> _Equations:
        return _Equations(
            self.matrix + other.matrix,
            self.right + other.right,
            self.atom + other.atom,
            self.shots + other.shots,
        )


def _relative(result: Reconstruction) -> FloatArray:
    given = result.relative_brightness
    return np.ones(len(result.valid)) if given is None else given


def _equations(
    setup: Setup, mesh: Mesh, image: FloatArray, result: Reconstruction, start: FloatArray
) -> _Equations:
    """Return one shot's normal equations, linear around the brightnesses of the start."""
    from scipy.sparse import block_array, csr_array, diags_array

    optics = setup.adjusted(Misfit(result.offset, result.psf_width))
    optics = optics.with_relative_brightness(np.ones(len(optics)))
    parameters = result.parameters
    # shots may be brighter or darker as a whole
    shot = parameters.brightness * _relative(result).mean() / start.mean()
    judged = result.valid & np.isfinite(result.probability)
    occupied = shot * np.where(judged, result.probability, 0.0)
    good = np.where(result.bad_pixels, 0.0, 1.0)
    counts = fill_bad_pixels(image, result.bad_pixels)
    noise = parameters.excess_noise * max(float(counts.mean()), 0.0) + parameters.read_noise**2
    weight = 1 / max(noise, 1e-12)
    signal = counts - result.background
    light = occupied * start
    if not judged.all():
        # sites at the rim and behind bad pixels: their light is taken away, nothing learnt from it
        chance = np.where(judged, 0.0, min(max(parameters.occupancy, 0.1), 0.9))
        variance = chance * (1 - chance) * (shot * start) ** 2
        light = light + chance * shot * start
        light = estimate_brightness(optics, signal, weight * good, light, variance)
    rest = good * (signal - optics.image(light))
    scale = np.sqrt(optics.site_weights(good))
    own = scale**2 * optics.strength
    doubt = own * occupied * (shot - occupied)  # <s s> - <s><s>
    both = diags_array(scale * occupied)
    shared = optics.overlaps
    overlap = csr_array((shared.values, shared.sites, shared.ends), shape=(len(optics),) * 2)
    sites = both @ overlap @ both + diags_array(doubt)
    mixed = diags_array(occupied * optics.collect(good)) @ mesh.sites
    level = mesh.pixels.T @ diags_array(good.ravel()) @ mesh.pixels
    matrix = csr_array(block_array([[sites, mixed], [mixed.T, level]]))
    right = np.concatenate(
        [occupied * optics.collect(rest) - doubt * start, mesh.pixels.T @ rest.ravel()]
    )
    return _Equations(weight * matrix, weight * right, weight * float(np.median(own[judged])))


class _Prior:
    """What is expected of a map before any image; solves the normal equations with it."""

    def __init__(self, setup: Setup, mesh: Mesh, start: FloatArray, mean: float) -> None:
        from scipy.sparse import block_diag, csr_array, eye_array

        rough = eye_array(len(start)) - _from_neighbours(setup.lattice.positions)
        self._rough = (rough.T @ rough).tocsr()
        self._start = start
        self._mean = mean
        coarse = Mesh(setup, max(_MESH, max(setup.image_shape) / _MOST_COARSE))
        blocks = [coarse.at(setup.lattice.positions), coarse.at(mesh.nodes)]
        self._coarse = csr_array(block_diag(blocks))

    def best_stiffness(self, first: _Equations, second: _Equations) -> float:
        """Return the stiffness with which either half of the shots predicts the other best."""
        found: list[FloatArray | None] = [None, None]
        scores: list[float] = []
        for stiffness in _STIFFNESS:
            score = 0.0
            for k, (one, other) in enumerate(((first, second), (second, first))):
                change = self.solve(one, stiffness, found[k])
                score += float(change @ (other.matrix @ change) - 2 * change @ other.right)
                found[k] = change
            if len(scores) > 1 and score > scores[-1] > scores[-2]:
                break
            scores.append(score)
        return float(_STIFFNESS[int(np.argmin(scores))])

    def solve(
        self, equations: _Equations, stiffness: float, first: FloatArray | None = None
    ) -> FloatArray:
        """Return the changes of brightnesses and background of the highest posterior."""
        from scipy.sparse import block_array, diags_array

        count = len(self._start)
        atom = equations.atom / equations.shots
        smooth, pull = stiffness * atom, _TOWARDS_MEAN * atom
        level = diags_array(_LEVEL_RIDGE * equations.matrix.diagonal()[count:])
        sites = smooth * self._rough + pull * diags_array(np.ones(count))
        matrix = equations.matrix + block_array([[sites, None], [None, level]], format="csr")
        right = equations.right.copy()
        right[:count] -= smooth * (self._rough @ self._start) + pull * (self._start - self._mean)
        return _conjugate_gradients(matrix, right, self._coarse, first)


def _conjugate_gradients(
    matrix: csr_array, right: FloatArray, coarse: csr_array, first: FloatArray | None
) -> FloatArray:
    """Solve; preconditioned by the diagonal and, for what varies slowly, on a coarse mesh."""
    small = (coarse.T @ matrix @ coarse).toarray()
    # nodes without sites around them are in no equation
    small += np.diag(np.where(np.diagonal(small) > 0, 1e-9 * np.diagonal(small), 1.0))
    inverse = np.linalg.inv(small)
    jacobi = 1 / np.maximum(matrix.diagonal(), 1e-300)
    restrict = coarse.T.tocsr()

    def precondition(r: FloatArray) -> FloatArray:
        # no "@" for the full matrix either, see `dot`
        return np.asarray(jacobi * r + coarse @ np.einsum("ij,j", inverse, restrict @ r))

    x = np.zeros_like(right) if first is None else first.copy()
    r = right - matrix @ x
    goal = _TOLERANCE**2 * dot(right, precondition(right))
    z = precondition(r)
    p = z
    rz = dot(r, z)
    for _ in range(_MOST_STEPS):
        if rz <= goal:
            break
        q = matrix @ p
        length = rz / dot(p, q)
        x += length * p
        r -= length * q
        z = precondition(r)
        rz, before = dot(r, z), rz
        p = z + rz / before * p
    return x


def _from_neighbours(positions: FloatArray) -> csr_array:
    """Return P: the value at each site of the plane fitted to its nearest neighbours, (n, n)."""
    from scipy.sparse import csr_array
    from scipy.spatial import KDTree

    count = len(positions)
    near = min(_NEAREST, count - 1)
    if near < 1:
        return csr_array((count, count))
    found = KDTree(positions).query(positions, near + 1)[1]
    # sites may share a place: a site is its own nearest neighbour, but not always the first one
    itself = found == np.arange(count)[:, None]
    itself[~itself.any(axis=1), -1] = True
    neighbours = found[~itself].reshape(count, near)
    steps = positions[neighbours] - positions[:, None]
    steps /= max(float(np.abs(steps).mean()), 1e-12)
    terms = np.concatenate([np.ones((count, near, 1)), steps], axis=2)
    normal = terms.transpose(0, 2, 1) @ terms
    # neighbours in one line do not tell a plane
    normal[:, [1, 2], [1, 2]] += 1e-3 * near
    weights = np.einsum("nkc,nc->nk", terms, np.linalg.inv(normal)[:, 0])
    place = np.repeat(np.arange(count), near)
    return csr_array((weights.ravel(), (place, neighbours.ravel())), shape=(count, count))
