/* The module `_native`: what Python sees of the counting in this folder. `_native.pyi` says what each name takes and
 * gives. Only the stable ABI of CPython 3.10 is used, so one binary serves that version and all later ones; hence
 * bytes and bytearrays instead of the buffer protocol, which became a part of it in 3.11. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "reading.h"

#ifndef O_PATH
#define O_PATH 0 /* only Linux has it; elsewhere a folder must be readable */
#endif

/* As a tuple: verdict, detail, line ends, characters, bytes, whether the last line is open. */
static PyObject *outcome_as_tuple(const struct outcome *outcome)
{
    return Py_BuildValue("(iLLLLi)", (int)outcome->verdict, (long long)outcome->detail, (long long)outcome->line_ends,
                         (long long)outcome->characters, (long long)outcome->bytes, (int)outcome->open_line);
}

/* Room for reading, or NULL with an exception set. */
static uint8_t *allocate(Py_ssize_t size)
{
    if (size < 4) {
        PyErr_SetString(PyExc_ValueError, "a block must have room for a character: 4 bytes");
        return NULL;
    }
    uint8_t *buffer = PyMem_Malloc((size_t)size);
    if (!buffer)
        PyErr_NoMemory();
    return buffer;
}

/* A folder's files, whose names are held by the tuple of bytes while nothing of Python is touched. */
struct files {
    int folder;
    PyObject *encoded;
    const char **names;
    struct outcome *outcomes;
    Py_ssize_t count;
};

static void release(struct files *files)
{
    if (files->folder >= 0)
        close(files->folder);
    Py_CLEAR(files->encoded);
    PyMem_Free(files->names);
    PyMem_Free(files->outcomes);
}

/* Fill in everything but the folder; false with an exception set. */
static bool take_names(PyObject *names, struct files *files)
{
    files->count = PyList_Size(names);
    files->encoded = PyTuple_New(files->count);
    files->names = PyMem_Malloc(((size_t)files->count + 1) * sizeof *files->names);
    files->outcomes = PyMem_Malloc(((size_t)files->count + 1) * sizeof *files->outcomes);
    if (!files->encoded || !files->names || !files->outcomes) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < files->count; i++) {
        PyObject *name = PyList_GetItem(names, i), *encoded = NULL;
        if (!name) /* the list has been made shorter meanwhile */
            return false;
        Py_INCREF(name);
        int converted = PyUnicode_FSConverter(name, &encoded);
        Py_DECREF(name);
        if (!converted)
            return false;
        PyTuple_SetItem(files->encoded, i, encoded);
        files->names[i] = PyBytes_AsString(encoded);
    }
    return true;
}

static PyObject *outcomes_as_list(const struct files *files)
{
    PyObject *list = PyList_New(files->count);
    for (Py_ssize_t i = 0; list && i < files->count; i++) {
        PyObject *tuple = outcome_as_tuple(&files->outcomes[i]);
        if (!tuple)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, i, tuple);
    }
    return list;
}

static PyObject *count_files(PyObject *module, PyObject *arguments)
{
    PyObject *folder, *names, *encoded_folder = NULL, *result = NULL;
    long long large;
    int look_for_nul;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO!Lpn:count_files", &folder, &PyList_Type, &names, &large, &look_for_nul, &size))
        return NULL;
    if (folder != Py_None && !PyUnicode_FSConverter(folder, &encoded_folder))
        return NULL;

    struct files files = {.folder = -1};
    uint8_t *buffer = allocate(size);
    if (buffer && take_names(names, &files)) {
        const char *path = encoded_folder ? PyBytes_AsString(encoded_folder) : NULL;
        Py_BEGIN_ALLOW_THREADS
        /* Relative to their folder, files are found without walking its path for each. */
        int folder = AT_FDCWD, error = 0;
        if (path) {
            folder = files.folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
            error = folder < 0 ? errno : 0;
        }
        for (Py_ssize_t i = 0; i < files.count; i++)
            files.outcomes[i] = error ? (struct outcome){.verdict = FAILED, .detail = error}
                                      : count_named(folder, files.names[i], large, look_for_nul, buffer, (size_t)size);
        Py_END_ALLOW_THREADS
        result = outcomes_as_list(&files);
    }
    release(&files);
    PyMem_Free(buffer);
    Py_XDECREF(encoded_folder);
    return result;
}

static PyObject *count_part(PyObject *module, PyObject *arguments)
{
    int descriptor;
    long long start, stop;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "iLLn:count_part", &descriptor, &start, &stop, &size))
        return NULL;
    uint8_t *buffer = allocate(size);
    if (!buffer)
        return NULL;
    struct outcome outcome;
    Py_BEGIN_ALLOW_THREADS
    outcome = count_range(descriptor, start, stop, buffer, (size_t)size);
    Py_END_ALLOW_THREADS
    PyMem_Free(buffer);
    return outcome_as_tuple(&outcome);
}

/* The ways of counting by their names, the best one first. */
static const struct way {
    const char *name;
    count_piece count;
    bool (*is_there)(void);
} ways[] = {
#ifdef ALLCORES_HAS_AVX2
    {"avx2", count_piece_avx2, avx2_is_there},
#endif
    {"plain", count_piece_plain, NULL},
};

enum { WAYS = sizeof ways / sizeof *ways };

static bool is_there(const struct way *way) { return !way->is_there || way->is_there(); }

static PyObject *available_ways(PyObject *module, PyObject *nothing)
{
    (void)module, (void)nothing;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < WAYS; i++) {
        if (!is_there(&ways[i]))
            continue;
        PyObject *name = PyUnicode_FromString(ways[i].name);
        if (!name || PyList_Append(list, name))
            Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}

static PyObject *use_way(PyObject *module, PyObject *arguments)
{
    const char *name;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "s:use_way", &name))
        return NULL;
    for (int i = 0; i < WAYS; i++)
        if (!strcmp(name, ways[i].name) && is_there(&ways[i])) {
            use(ways[i].count);
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "there is no way to count called '%s' here", name);
}

/* `Counter`: the text comes from Python, which is what has read it. */

typedef struct {
    PyObject_HEAD
    struct counter counter;
} Counter;

static PyObject *counter_feed(PyObject *self, PyObject *arguments)
{
    PyObject *buffer;
    Py_ssize_t filled;
    if (!PyArg_ParseTuple(arguments, "O!n:feed", &PyByteArray_Type, &buffer, &filled))
        return NULL;
    if (filled < 0 || filled > PyByteArray_Size(buffer))
        return PyErr_Format(PyExc_ValueError, "filled must be within the buffer, not %zd", filled);
    /* The lock is kept: a block takes some microseconds, and without it somebody could resize the buffer. */
    return PyLong_FromSsize_t(
        feed(&((Counter *)self)->counter, (const uint8_t *)PyByteArray_AsString(buffer), (size_t)filled));
}

static PyObject *counter_result(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    struct outcome outcome = {.verdict = COUNTED, .detail = -1};
    conclude(&((Counter *)self)->counter, &outcome);
    return outcome_as_tuple(&outcome);
}

static void counter_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef counter_methods[] = {
    {"feed", counter_feed, METH_VARARGS, NULL},
    {"result", counter_result, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot counter_slots[] = {
    {Py_tp_methods, counter_methods},
    {Py_tp_dealloc, counter_dealloc},
    {0, NULL},
};

static PyType_Spec counter_spec = {
    .name = "allcores.jobs.count._native.Counter",
    .basicsize = sizeof(Counter),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = counter_slots,
};

static int execute(PyObject *module)
{
    use(is_there(&ways[0]) ? ways[0].count : count_piece_plain);
    PyObject *type = PyType_FromSpec(&counter_spec);
    if (!type)
        return -1;
    if (PyModule_AddObject(module, "Counter", type)) {
        Py_DECREF(type);
        return -1;
    }
    return 0;
}

static PyMethodDef functions[] = {
    {"count_files", count_files, METH_VARARGS, NULL},
    {"count_part", count_part, METH_VARARGS, NULL},
    {"available_ways", available_ways, METH_NOARGS, NULL},
    {"use_way", use_way, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "Counting UTF-8 text without the interpreter lock.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
