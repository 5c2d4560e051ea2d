"""The lab's kubelet: runs the pods of a node and tells the API server how they are."""
