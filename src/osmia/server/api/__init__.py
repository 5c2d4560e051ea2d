"""HTTP: thin routers that parse, ask a question and answer; the contract is the OpenAPI document."""
