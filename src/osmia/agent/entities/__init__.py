"""Who is that? Addresses, cgroups and processes to workloads."""
