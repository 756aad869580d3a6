"""Networks of other tools, read without them: pandapower (JSON) and PyPSA (CSV folder, netCDF).

Live objects of both tools work too; neither needs to be installed to read their files.
"""
