"""Stands in for fltui in a job that was exported for nvflare: scripts reach nvflare's Client API by fltui's names."""

from .client import ExchangeFormat, FLModel, ParamsType, TransferType

__all__ = ["ExchangeFormat", "FLModel", "ParamsType", "TransferType"]
