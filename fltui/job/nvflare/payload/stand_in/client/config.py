"""Names that fltui has here."""

from nvflare.client.config import ExchangeFormat, TransferType

__all__ = ["ExchangeFormat", "TransferType"]
