"""What a service manager hears, in order."""

import asyncio


async def heard(manager, *wanted: bytes) -> None:
    """Wait until these beginnings were heard, in that order."""
    left = list(wanted)
    async with asyncio.timeout(60):
        while left:
            if (await manager.get()).startswith(left[0]):
                del left[0]
