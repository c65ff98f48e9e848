#!/usr/bin/env python3
"""Clients of a load balancer, until a line comes in: long connections that go on asking, and short ones one after the other.

    clients.py ADDRESS PORT LONG

Prints, as JSON: for each long connection the backend that it has and why it broke (null if it did not); for short ones the
backends in the order of asking, with "!REASON" for those that failed. A line "mark NAME" notes how many short ones there were.
"""
import asyncio
import json
import sys

ADDRESS, PORT, LONG = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
long = [{'backend': None, 'asked': 0, 'broken': None} for _ in range(LONG)]
short, marks = [], {}
running = True


async def ask(reader, writer):
    writer.write(b'hello\n')
    line = await asyncio.wait_for(reader.readline(), 20)
    if not line:
        raise ConnectionError('closed')
    return line.split()[0].decode()


async def stay(state):
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(ADDRESS, PORT), 20)
        while running:
            name = await ask(reader, writer)
            if state['backend'] not in (None, name):
                raise ConnectionError(f'went over to {name}')
            state['backend'] = name
            state['asked'] += 1
            await asyncio.sleep(0.02)
        writer.close()
    except (OSError, asyncio.TimeoutError) as error:
        state['broken'] = type(error).__name__ + ' ' + str(error)


async def come_and_go():
    while running:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(ADDRESS, PORT), 20)
            short.append(await ask(reader, writer))
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.TimeoutError) as error:
            short.append('!' + type(error).__name__)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.002)


async def main():
    global running
    tasks = [asyncio.create_task(stay(state)) for state in long] + [asyncio.create_task(come_and_go())]
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line.startswith('mark'):
            break
        marks[line.split()[1]] = len(short)
        print(json.dumps({'long': long, 'short': len(short)}), flush=True)
    running = False
    await asyncio.gather(*tasks)
    print(json.dumps({'long': long, 'short': short, 'marks': marks}), flush=True)


asyncio.run(main())
