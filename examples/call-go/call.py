"""A function that calls others: it greets everybody on its list by the function hello-go."""

import asyncio

import myelin


async def handler(context, event):
    names = [name.strip() for name in event.body.decode().split(",") if name.strip()]
    calls = (context.platform.call_function_async("hello-go", myelin.Event(body=name), timeout=5) for name in names)
    try:
        answers = await asyncio.gather(*calls)  # all at once
    except myelin.UnknownFunction as exc:
        return 424, "deploy examples/hello-go first: %s" % exc
    return "\n".join(answer.body.decode() for answer in answers)
