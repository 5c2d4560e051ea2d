"""The lab's controllers: each watches objects through the API server and makes the world, or other objects, follow."""
