"""cupyx.scipy.special over SciPy's."""
import scipy.special
from cupy._functions import namespace

globals().update(namespace("cupyx.scipy.special", scipy.special))
