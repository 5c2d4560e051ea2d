"""The sample applications: ordinary Django, Flask and aiohttp programs that know nothing of being watched."""
