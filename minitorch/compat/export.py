"""The names of `torch.export` that programs import; there is no exporter behind them."""
from minitorch._absent import stand_ins
from minitorch.errors import absent_from

globals().update(stand_ins(
    "torch.export", "there is no exporter; save(model.state_dict(), path) keeps the weights",
    "Dim ExportedProgram ShapesCollection", "export export_for_training load save"))
__getattr__ = absent_from("torch.export", lambda: globals())
