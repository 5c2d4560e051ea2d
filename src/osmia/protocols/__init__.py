"""Sans-I/O parsers: bytes of one protocol in, what they mean out; one file per protocol, one registry."""
