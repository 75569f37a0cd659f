"""Job folders of nvflare, as its versions 2.5 to 2.9 export them for federated averaging of NumPy arrays.

`reading` turns their configurations into fltui's own, `writing` writes a job such that ``nvflare simulator`` runs it.
"""
