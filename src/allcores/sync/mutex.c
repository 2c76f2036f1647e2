/* The module `_mutex`: the ordinary case of `Lock` and `RLock`, which `ordinary.py` tells and has in Python. Only the
 * stable ABI of CPython 3.10 is used, so one binary serves that version and all later ones. The interpreter's lock is
 * held throughout, as nothing here waits; so neither threads nor signal handlers come in between. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    PyObject_HEAD
    sem_t *lock;              /* 1 if it is free, 0 if somebody has it */
    sem_t *claims;            /* this process's count of claims, NULL while it has none */
    volatile uint32_t *flags; /* what is to be seen to on release; and behind it the trace */
    unsigned long owner;      /* the thread that has acquired it last */
    long depth;               /* how often, without releasing it */
    bool recursive;
    bool held; /* if it is not recursive: whether this process has it, and has not taken it over */
} Mutex;

typedef struct {
    PyObject_HEAD
    PyObject *mutex;
    PyObject *acquire, *release, *see_to_flags; /* called in all other cases */
} Ways;

static bool is_mine(const Mutex *mutex)
{
    return mutex->depth > 0 && mutex->owner == PyThread_get_thread_ident();
}

static int value_of(sem_t *semaphore)
{
    int value = 0;
    sem_getvalue(semaphore, &value);
    return value;
}

static bool take(Mutex *mutex)
{
    if (mutex->recursive && is_mine(mutex)) {
        mutex->depth++;
        return true;
    }
    if (sem_trywait(mutex->lock))
        return false;
    mutex->depth = 1;
    mutex->owner = PyThread_get_thread_ident();
    return true;
}

/* NULL with an exception set if it may not be given back. */
static PyObject *give_back(Mutex *mutex)
{
    if (mutex->recursive) {
        if (!is_mine(mutex)) {
            PyErr_SetString(PyExc_AssertionError, "attempt to release recursive lock not owned by thread");
            return NULL;
        }
        if (mutex->depth > 1) {
            mutex->depth--;
            Py_RETURN_NONE;
        }
    } else if (value_of(mutex->lock) > 0) {
        PyErr_SetString(PyExc_ValueError, "semaphore or lock released too many times");
        return NULL;
    }
    mutex->depth = 0;
    sem_post(mutex->lock);
    Py_RETURN_NONE;
}

/* Mutex */

static PyObject *mutex_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    unsigned long long lock, flags;
    int recursive;
    if (kwds || !PyArg_ParseTuple(args, "KKp", &lock, &flags, &recursive))
        return kwds ? PyErr_Format(PyExc_TypeError, "Mutex takes no keyword arguments") : NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Mutex *self = (Mutex *)allocate(type, 0);
    if (self) {
        self->lock = (sem_t *)(uintptr_t)lock;
        self->flags = (volatile uint32_t *)(uintptr_t)flags;
        self->recursive = recursive != 0;
    }
    return (PyObject *)self;
}

static void free_instance(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *mutex_acquire(PyObject *self, PyObject *block)
{
    (void)block;
    return PyBool_FromLong(take((Mutex *)self));
}

static PyObject *mutex_release(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    return give_back((Mutex *)self);
}

static PyObject *mutex_is_zero(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    return PyBool_FromLong(value_of(((Mutex *)self)->lock) == 0);
}

static PyObject *mutex_is_mine(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    return PyBool_FromLong(is_mine((Mutex *)self));
}

static PyObject *mutex_count(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    return PyLong_FromLong(((Mutex *)self)->depth);
}

static PyObject *mutex_enlist(PyObject *self, PyObject *address)
{
    unsigned long long claims = PyLong_AsUnsignedLongLong(address);
    if (PyErr_Occurred())
        return NULL;
    ((Mutex *)self)->claims = (sem_t *)(uintptr_t)claims;
    Py_RETURN_NONE;
}

static PyObject *mutex_try_as_enlisted(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    Mutex *mutex = (Mutex *)self;
    if (mutex->recursive && is_mine(mutex)) {
        mutex->depth++;
        Py_RETURN_TRUE;
    }
    if (!mutex->claims)
        Py_RETURN_NONE;
    sem_post(mutex->claims);
    if (take(mutex)) {
        mutex->held = true;
        Py_RETURN_TRUE;
    }
    sem_trywait(mutex->claims);
    Py_RETURN_FALSE;
}

static PyObject *mutex_hold(PyObject *self, PyObject *held)
{
    int is_held = PyObject_IsTrue(held);
    if (is_held < 0)
        return NULL;
    ((Mutex *)self)->held = is_held != 0;
    Py_RETURN_NONE;
}

static PyObject *mutex_after_fork(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    Mutex *mutex = (Mutex *)self;
    mutex->claims = NULL;
    mutex->held = false;
    mutex->depth = 0;
    Py_RETURN_NONE;
}

static PyMethodDef mutex_methods[] = {
    {"acquire", mutex_acquire, METH_O, NULL},
    {"release", mutex_release, METH_NOARGS, NULL},
    {"try_as_enlisted", mutex_try_as_enlisted, METH_NOARGS, NULL},
    {"enlist", mutex_enlist, METH_O, NULL},
    {"hold", mutex_hold, METH_O, NULL},
    {"_is_zero", mutex_is_zero, METH_NOARGS, NULL},
    {"_is_mine", mutex_is_mine, METH_NOARGS, NULL},
    {"_count", mutex_count, METH_NOARGS, NULL},
    {"_after_fork", mutex_after_fork, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot mutex_slots[] = {
    {Py_tp_new, mutex_new},
    {Py_tp_dealloc, free_instance},
    {Py_tp_methods, mutex_methods},
    {0, NULL},
};

static PyType_Spec mutex_spec = {"allcores.sync._mutex.Mutex", sizeof(Mutex), 0, Py_TPFLAGS_DEFAULT, mutex_slots};

/* Ways */

static PyObject *ways_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *mutex, *acquire, *release, *see_to_flags;
    if (kwds || !PyArg_ParseTuple(args, "OOOO", &mutex, &acquire, &release, &see_to_flags))
        return kwds ? PyErr_Format(PyExc_TypeError, "Ways takes no keyword arguments") : NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Ways *self = (Ways *)allocate(type, 0);
    if (self) {
        Py_INCREF(mutex);
        Py_INCREF(acquire);
        Py_INCREF(release);
        Py_INCREF(see_to_flags);
        self->mutex = mutex;
        self->acquire = acquire;
        self->release = release;
        self->see_to_flags = see_to_flags;
    }
    return (PyObject *)self;
}

static void ways_free(PyObject *self)
{
    Ways *ways = (Ways *)self;
    Py_XDECREF(ways->mutex);
    Py_XDECREF(ways->acquire);
    Py_XDECREF(ways->release);
    Py_XDECREF(ways->see_to_flags);
    free_instance(self);
}

static bool parse(PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject **block, PyObject **timeout)
{
    if (count > 2) {
        PyErr_Format(PyExc_TypeError, "acquire() takes at most 2 arguments (%zd given)", count);
        return false;
    }
    *block = count > 0 ? args[0] : NULL;
    *timeout = count > 1 ? args[1] : NULL;
    for (Py_ssize_t at = 0; names && at < PyTuple_Size(names); at++) {
        PyObject *name = PyTuple_GetItem(names, at);
        PyObject **place = !PyUnicode_CompareWithASCIIString(name, "block")     ? block
                           : !PyUnicode_CompareWithASCIIString(name, "timeout") ? timeout
                                                                                : NULL;
        if (!place || *place) {
            PyErr_Format(PyExc_TypeError, place ? "acquire() got multiple values for argument %R"
                                                : "acquire() got an unexpected keyword argument %R", name);
            return false;
        }
        *place = args[count + at];
    }
    if (!*block)
        *block = Py_True;
    if (!*timeout)
        *timeout = Py_None;
    return true;
}

static PyObject *ways_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Ways *ways = (Ways *)self;
    Mutex *mutex = (Mutex *)ways->mutex;
    PyObject *block, *timeout;
    if (!parse(args, count, names, &block, &timeout))
        return NULL;
    if (mutex->recursive && is_mine(mutex)) {
        mutex->depth++;
        Py_RETURN_TRUE;
    }
    if (mutex->claims) {
        sem_post(mutex->claims);
        if (take(mutex)) {
            mutex->held = true;
            Py_RETURN_TRUE;
        }
        sem_trywait(mutex->claims);
    }
    return PyObject_CallFunctionObjArgs(ways->acquire, block, timeout, NULL);
}

static PyObject *ways_release(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    Ways *ways = (Ways *)self;
    Mutex *mutex = (Mutex *)ways->mutex;
    /* It is not ours; or was, and somebody else has released it, and taken the claim away. */
    bool ours = mutex->claims && (mutex->recursive ? is_mine(mutex) : mutex->held && value_of(mutex->claims) > 0);
    if (!ours) {
        mutex->held = false;
        return PyObject_CallFunctionObjArgs(ways->release, NULL);
    }
    if (mutex->recursive && mutex->depth > 1) {
        mutex->depth--;
        Py_RETURN_NONE;
    }
    mutex->held = false;
    PyObject *result = give_back(mutex);
    if (result && mutex->flags[0]) {
        mutex->flags[1] = 1; /* a trace, for who looks whether the lock is abandoned */
        Py_DECREF(result);
        result = PyObject_CallFunctionObjArgs(ways->see_to_flags, NULL);
    }
    sem_trywait(mutex->claims);
    return result;
}

static PyMethodDef ways_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))ways_acquire, METH_FASTCALL | METH_KEYWORDS,
     "acquire($self, block=True, timeout=None)\n--\n\nGet the lock; returns whether it was got."},
    {"release", ways_release, METH_NOARGS, "release($self)\n--\n\nGive the lock back."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ways_slots[] = {
    {Py_tp_new, ways_new},
    {Py_tp_dealloc, ways_free},
    {Py_tp_methods, ways_methods},
    {0, NULL},
};

static PyType_Spec ways_spec = {"allcores.sync._mutex.Ways", sizeof(Ways), 0, Py_TPFLAGS_DEFAULT, ways_slots};

static int add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromSpec(spec);
    int failed = type ? PyModule_AddObjectRef(module, name, type) : -1;
    Py_XDECREF(type);
    return failed;
}

static int fill(PyObject *module)
{
    return add_type(module, &mutex_spec, "Mutex") || add_type(module, &ways_spec, "Ways") ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_mutex", NULL, 0, NULL, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__mutex(void) { return PyModuleDef_Init(&definition); }
