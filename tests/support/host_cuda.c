/* A CUDA driver in host memory: real pycuda and real cuda-bindings run on it, without a GPU.
 *
 * What it keeps of the driver's rules: a call needs a current context in its thread (201); what is enqueued runs when
 * somebody waits; a stream that is recorded runs nothing, and whoever waits or allocates meanwhile breaks the recording
 * (900); what belongs to a context is gone with its last release. It counts what lives and what was not page-locked.
 * Its kernels are the crop kernel, by the source that it shares with the GPU, and a matrix product. A kernel that reads
 * the first 64 KB ends everything, as on a GPU: every later call fails with 700. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct SjiFrame SjiFrame; /* the header is C++ */
#include "crop_pixel.h"

enum { OK = 0, INVALID = 1, NO_ROOM = 2, NO_CONTEXT = 201, NOT_FOUND = 500, NOT_READY = 600, CAPTURE = 900 };
enum { MEMORY, PINNED, STREAM, EVENT, MODULE, GRAPH, EXEC, RETAINED, PAGEABLE, LAUNCHED, REPLAYED, KINDS };
static long counts[KINDS];
long host_count(int kind) { return counts[kind]; }

static char failing[64];
static int failing_code, failing_after;
void host_fail(const char *name, int code, int after) {
    snprintf(failing, sizeof failing, "%s", name);
    failing_code = code, failing_after = after;
}
static int failed(const char *name) {
    return !strcmp(name, failing) && failing_after-- <= 0 ? failing_code : 0;
}
#define ENTER                                                                                                          \
    do {                                                                                                               \
        int code = failed(__func__);                                                                                   \
        if (code) return code;                                                                                         \
        if (!depth) return NO_CONTEXT;                                                                                 \
        if (sticky) return sticky;                                                                                     \
    } while (0)
static int sticky;

static __thread void *stack[64];
static __thread int depth;
static char primary[1];
long host_depth(void) { return depth; }

/* One piece of work on a stream. */
typedef struct { const unsigned char *frame; int h, w, c; const SjiCoordinate *maps; unsigned char *crops; int ch, cw, cc; } Crop;
typedef struct { const unsigned char *crops; const float *weights; float *products; int rows, values, columns; } Product;
typedef struct Op { void (*run)(struct Op *); void *to; const void *from; size_t size; void (*call)(void *); Crop crop; Product product;
                    unsigned grid[3], block[3]; struct Op *next; } Op;
typedef struct { Op *first; } Graph;
typedef struct { Op *first; Op *recorded; int recording, broken; } Stream;
typedef struct { int reached; struct timespec at; } Event;
static Stream *recording_stream;

static void append(Op **list, const Op *op) {
    Op *copy = malloc(sizeof *copy);
    *copy = *op, copy->next = 0;
    while (*list) list = &(*list)->next;
    *list = copy;
}
static void release(Op **list) {
    while (*list) { Op *op = *list; *list = op->next; free(op); }
}
static void put(Stream *s, const Op *op) { append(s->recording ? &s->recorded : &s->first, op); }
static void drain(Stream *s) {
    while (s->first) { Op *op = s->first; s->first = op->next; if (!sticky) op->run(op); free(op); }
}

int cuInit(unsigned f) { return f ? INVALID : OK; }
int cuDriverGetVersion(int *v) { *v = 13000; return OK; }
int cuDeviceGetCount(int *n) { *n = 1; return OK; }
int cuDeviceGet(int *d, int i) { *d = i; return i ? 101 : OK; }
int cuDeviceGetName(char *t, int n, int d) { (void)d; snprintf(t, n, "Host CUDA"); return OK; }
int cuDeviceTotalMem_v2(size_t *m, int d) { (void)d; *m = (size_t)1 << 30; return OK; }
/* The compute capability, 86 unless HOST_CUDA_CAPABILITY says otherwise, and multiprocessors. */
int cuDeviceGetAttribute(int *v, int what, int d) {
    (void)d;
    const char *said = getenv("HOST_CUDA_CAPABILITY");
    const int capability = said ? atoi(said) : 86;
    *v = what == 75 ? capability / 10 : what == 76 ? capability % 10 : what == 16 ? 4 : 0;
    return OK;
}
int cuGetErrorName(int r, const char **t) { (void)r; *t = "CUDA_ERROR"; return OK; }
int cuGetErrorString(int r, const char **t) {
    *t = r == NO_CONTEXT ? "no context is current" : r == CAPTURE ? "a recording was broken" : "made to fail";
    return OK;
}
int cuDevicePrimaryCtxRetain(void **c, int d) { (void)d; counts[RETAINED]++; *c = primary; return failed(__func__); }
int cuDevicePrimaryCtxRelease_v2(int d) { (void)d; counts[RETAINED]--; return OK; }
int cuCtxPushCurrent_v2(void *c) { stack[depth++] = c; return OK; }
int cuCtxPopCurrent_v2(void **c) { if (!depth) return NO_CONTEXT; *c = stack[--depth]; return OK; }
int cuCtxDetach(void *c) { (void)c; return INVALID; } /* never of a primary context */
int cuCtxGetCurrent(void **c) { *c = depth ? stack[depth - 1] : 0; return OK; }

static int unsafe(void) { if (recording_stream) recording_stream->broken = 1; return recording_stream ? CAPTURE : OK; }
int cuMemAlloc_v2(uintptr_t *p, size_t n) {
    ENTER;
    if (unsafe()) return CAPTURE;
    if (!n) return INVALID;
    *p = (uintptr_t)aligned_alloc(256, (n + 255) / 256 * 256);
    counts[MEMORY]++;
    return *p ? OK : NO_ROOM;
}
int cuMemFree_v2(uintptr_t p) { ENTER; if (unsafe()) return CAPTURE; free((void *)p); counts[MEMORY]--; return OK; }
int cuMemGetInfo_v2(size_t *f, size_t *t) { ENTER; *t = (size_t)1 << 30; *f = *t - counts[MEMORY]; return OK; }

static struct { char *at; size_t size; } pinned[256];
static int is_pinned(const void *p, size_t n) {
    for (int i = 0; i < 256; ++i)
        if (pinned[i].at && (char *)p >= pinned[i].at && (char *)p + n <= pinned[i].at + pinned[i].size) return 1;
    return 0;
}
int cuMemHostAlloc(void **p, size_t n, unsigned f) {
    (void)f;
    ENTER;
    if (unsafe()) return CAPTURE;
    *p = malloc(n);
    for (int i = 0; i < 256; ++i)
        if (!pinned[i].at) { pinned[i].at = *p, pinned[i].size = n; break; }
    counts[PINNED]++;
    return OK;
}
int cuMemFreeHost(void *p) {
    ENTER;
    for (int i = 0; i < 256; ++i)
        if (pinned[i].at == p) pinned[i].at = 0;
    memset(p, 0xEE, 1);
    free(p);
    counts[PINNED]--;
    return OK;
}

int cuStreamCreate(void **s, unsigned f) { ENTER; if (f != 1) return INVALID; *s = calloc(1, sizeof(Stream)); counts[STREAM]++; return OK; }
int cuStreamDestroy_v2(void *s) { ENTER; drain(s); free(s); counts[STREAM]--; return OK; }
int cuStreamSynchronize(void *s) {
    ENTER;
    Stream *stream = s;
    if (stream->recording) { stream->broken = 1; return CAPTURE; }
    drain(stream);
    return sticky;
}
static void run_copy(Op *op) { memcpy(op->to, op->from, op->size); }
static int copy(void *to, const void *from, size_t n, Stream *s, const void *host) {
    if (!is_pinned(host, n)) counts[PAGEABLE]++;
    Op op = {.run = run_copy, .to = to, .from = from, .size = n};
    put(s, &op);
    return OK;
}
int cuMemcpyHtoDAsync_v2(uintptr_t d, const void *h, size_t n, void *s) { ENTER; return copy((void *)d, h, n, s, h); }
int cuMemcpyDtoHAsync_v2(void *h, uintptr_t d, size_t n, void *s) { ENTER; return copy(h, (void *)d, n, s, h); }

static void run_fill(Op *op) {
    for (size_t i = 0; i < op->size; ++i) ((uint32_t *)op->to)[i] = (uint32_t)(uintptr_t)op->from;
}
int cuMemsetD32Async(uintptr_t d, unsigned value, size_t n, void *s) {
    ENTER;
    Op op = {.run = run_fill, .to = (void *)d, .from = (void *)(uintptr_t)value, .size = n};
    put(s, &op);
    return OK;
}

int cuEventCreate(void **e, unsigned f) { (void)f; ENTER; *e = calloc(1, sizeof(Event)); counts[EVENT]++; return OK; }
int cuEventDestroy_v2(void *e) { ENTER; free(e); counts[EVENT]--; return OK; }
static void run_event(Op *op) { Event *e = op->to; e->reached = 1; clock_gettime(CLOCK_MONOTONIC, &e->at); }
int cuEventRecord(void *e, void *s) { ENTER; Op op = {.run = run_event, .to = e}; ((Event *)e)->reached = 0; put(s, &op); return OK; }
int cuEventRecordWithFlags(void *e, void *s, unsigned external) {
    ENTER;
    if (external != (unsigned)((Stream *)s)->recording) return INVALID;
    return cuEventRecord(e, s);
}
int cuEventSynchronize(void *e) { ENTER; return ((Event *)e)->reached ? OK : NOT_READY; }
int cuEventElapsedTime(float *ms, void *from, void *to) {
    ENTER;
    Event *a = from, *b = to;
    if (!a->reached || !b->reached) return NOT_READY;
    *ms = (b->at.tv_sec - a->at.tv_sec) * 1e3 + (b->at.tv_nsec - a->at.tv_nsec) / 1e6;
    return OK;
}
int cuEventElapsedTime_v2(float *ms, void *from, void *to) { return cuEventElapsedTime(ms, from, to); }

int cuModuleLoadData(void **m, const void *image) {
    ENTER;
    if (*(const uint32_t *)image != 0xBA55ED50 && !strstr(image, ".version")) return 200; /* no fat binary, no PTX */
    *m = malloc(1);
    counts[MODULE]++;
    return OK;
}
int cuModuleLoadDataEx(void **m, const void *image, unsigned n, void *o, void *v) {
    (void)n, (void)o, (void)v;
    return cuModuleLoadData(m, image);
}
int cuModuleUnload(void *m) { ENTER; free(m); counts[MODULE]--; return OK; }
static char crop_function[1], product_function[1];
int cuModuleGetFunction(void **f, void *m, const char *name) {
    (void)m;
    ENTER;
    *f = !strcmp(name, "sji_crop_batch") ? crop_function : !strcmp(name, "matrix_product") ? product_function : 0;
    return *f ? OK : NOT_FOUND;
}
int cuFuncSetBlockShape(void *f, int x, int y, int z) { (void)f, (void)x, (void)y, (void)z; return OK; }
/* As the compiler lays out the arguments, without padding at the end. */
#define SIZE_OF_CROP (offsetof(Crop, cc) + sizeof(int))
static void run_crop(Op *op) {
    const Crop *k = &op->crop;
    const SjiFrame frame = {k->frame, k->h, k->w, k->c};
    for (unsigned crop = 0; crop < op->grid[2]; ++crop)
        for (unsigned row = 0; row < op->grid[1] * op->block[1]; ++row)
            for (unsigned column = 0; column < op->grid[0] * op->block[0]; ++column)
                for (int channel = 0; channel < k->cc && (int)row < k->ch && (int)column < k->cw; ++channel)
                    k->crops[((crop * k->ch + row) * k->cw + column) * k->cc + channel] =
                        sji_crop_pixel(frame, k->maps + 6 * crop, row, column, channel, k->cc);
}
static void run_product(Op *op) {
    const Product *k = &op->product;
    if ((uintptr_t)k->weights < 65536) { sticky = 700; return; }
    for (int row = 0; row < k->rows; ++row)
        for (int column = 0; column < k->columns; ++column) {
            float sum = 0;
            for (int value = 0; value < k->values; ++value)
                sum += k->crops[(size_t)row * k->values + value] * k->weights[value * k->columns + column];
            k->products[row * k->columns + column] = sum;
        }
}
static int launch_product(Stream *s, void **params) {
    Op op = {.run = run_product};
    op.product.crops = *(void **)params[0], op.product.weights = *(void **)params[1], op.product.products = *(void **)params[2];
    op.product.rows = *(int *)params[3], op.product.values = *(int *)params[4], op.product.columns = *(int *)params[5];
    put(s, &op);
    return OK;
}
int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *s, void **params, void **extra) {
    (void)shared;
    ENTER;
    if (f == product_function) return params && !extra ? launch_product(s, params) : INVALID;
    /* extra: 1, the arguments' buffer; 2, its size; 0. */
    if (params || !extra || extra[0] != (void *)1 || *(size_t *)extra[3] != SIZE_OF_CROP) return INVALID;
    Op op = {.run = run_crop, .grid = {gx, gy, gz}, .block = {bx, by, bz}};
    memcpy(&op.crop, extra[1], SIZE_OF_CROP);
    put(s, &op);
    counts[LAUNCHED]++;
    return OK;
}

int cuStreamBeginCapture_v2(void *s, int mode) {
    ENTER;
    Stream *stream = s;
    if (mode != 1 || stream->recording || stream->first) return INVALID;
    stream->recording = 1, stream->broken = 0, recording_stream = stream;
    return OK;
}
int cuStreamEndCapture(void *s, void **g) {
    ENTER;
    Stream *stream = s;
    stream->recording = 0, recording_stream = 0;
    if (stream->broken) { release(&stream->recorded); *g = 0; return 901; }
    Graph *graph = malloc(sizeof *graph);
    graph->first = stream->recorded, stream->recorded = 0;
    *g = graph;
    counts[GRAPH]++;
    return OK;
}
int cuGraphInstantiate(void **e, void *g, unsigned long long f) {
    ENTER;
    if (f) return INVALID;
    Graph *exec = calloc(1, sizeof *exec);
    for (Op *op = ((Graph *)g)->first; op; op = op->next) append(&exec->first, op);
    *e = exec;
    counts[EXEC]++;
    return OK;
}
int cuGraphInstantiateWithFlags(void **e, void *g, unsigned long long f) { return cuGraphInstantiate(e, g, f); }
int cuGraphUpload(void *e, void *s) { ENTER; return e && s ? OK : INVALID; }
int cuGraphLaunch(void *e, void *s) {
    ENTER;
    for (Op *op = ((Graph *)e)->first; op; op = op->next) put(s, op);
    counts[REPLAYED]++;
    return OK;
}
int cuGraphDestroy(void *g) { ENTER; release(&((Graph *)g)->first); free(g); counts[GRAPH]--; return OK; }
int cuGraphExecDestroy(void *e) { ENTER; release(&((Graph *)e)->first); free(e); counts[EXEC]--; return OK; }

static void run_call(Op *op) { op->call(op->to); }
/* TensorRT's part: a function that is enqueued. */
int host_enqueue(void *s, void (*call)(void *), void *with) {
    ENTER;
    Op op = {.run = run_call, .call = call, .to = with};
    put(s, &op);
    return OK;
}

int cuGetProcAddress_v2(const char *name, void **at, int version, uint64_t flags, int *status) {
    (void)version, (void)flags;
    char newer[128];
    snprintf(newer, sizeof newer, "%s_v2", name);
    void *self = dlopen("libcuda.so.1", RTLD_LAZY);
    *at = dlsym(self, newer);
    if (!*at) *at = dlsym(self, name);
    if (status) *status = *at ? 0 : 1;
    return *at ? OK : NOT_FOUND;
}
int cuGetProcAddress(const char *name, void **at, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, at, version, flags, 0);
}
