"""Five processes, each of which says its name and its number.

A `Process` runs one function in a process of its own: `start()` sets it off, `join()` waits for its end. The
five run at the same time, so their lines may come in any order, and in another one next time.

Run it:

    python examples/hello_processes.py

With `import multiprocessing` in place of the import below it does the same.
"""

import allcores as multiprocessing


def say_hello(number):
    """Runs in the new process."""
    name = multiprocessing.current_process().name
    print(f"Hello, I am {name} and my number is {number}.")


# The standard library needs this line wherever it starts processes by importing the script again;
# allcores can do without.
if __name__ == "__main__":
    names = ["Ada", "Barbara", "Grace", "Radia", "Sophie"]
    processes = [
        multiprocessing.Process(target=say_hello, args=(number,), name=name)
        for number, name in enumerate(names, start=1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print("All five are done.")
