"""Schema and seed data of testserver."""
