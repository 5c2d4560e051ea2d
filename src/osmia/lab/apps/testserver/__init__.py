"""The Django application of the sample story: asks `currencies` over HTTP and PostgreSQL over SQL, once too slowly."""
