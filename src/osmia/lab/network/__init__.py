"""Networks of the lab: address plans, a node's namespace with its bridge and uplink, Service VIPs, cluster DNS."""
