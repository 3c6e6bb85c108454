"""Where stored responses live."""
