"""The one corner of `six` that a program asks for."""
