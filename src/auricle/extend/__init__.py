"""What is done to a finished model from outside: the projector's start in closed form, faster linear maps."""

from auricle.extend.onednn import use_onednn
from auricle.extend.ridge import RidgeFit, fit_projector

__all__ = ["RidgeFit", "fit_projector", "use_onednn"]
