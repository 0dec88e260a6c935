// Enough of CUDA for g++ to compile the kernels' sources as they are, and to run them block by block.
//
// The threads of a block are fibres: each runs up to __syncthreads() before the next one starts, in rising or falling
// order, and shared memory holds NaNs when a block begins. So a missing barrier shows as a wrong result in one of the
// two orders; emulate() reports a barrier that not all threads reach and an access through a misaligned address.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("emulated_shared")))

struct Index {
    unsigned x, y, z;
};
static Index gridDim, blockDim, blockIdx, threadIdx;

struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

#ifdef __aarch64__
typedef __fp16 __half;
#else
typedef _Float16 __half;
#endif
inline float __half2float(__half value) { return static_cast<float>(value); }
inline __half __float2half_rn(float value) { return static_cast<__half>(value); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }

extern "C" __attribute__((weak)) char __start_emulated_shared[], __stop_emulated_shared[];

namespace emulated {

const int STACK_BYTES = 1 << 16, MAX_THREADS = 1024;
enum Fault { FINE = 0, TORN_BARRIER = 1, MISALIGNED = 2 };

struct Fibre {
    ucontext_t context;
    char* stack = new char[STACK_BYTES];  // kept for the next launches
    bool done = false;
};

static ucontext_t scheduler;
static Fibre* current;
static void (*kernel)();
static const long long* arguments;
static int argument_count;
static int faults;

inline void call() {
    const long long* a = arguments;
    typedef long long L;
    switch (argument_count) {
        case 4: return ((void (*)(L, L, L, L))kernel)(a[0], a[1], a[2], a[3]);
        case 5: return ((void (*)(L, L, L, L, L))kernel)(a[0], a[1], a[2], a[3], a[4]);
        case 6: return ((void (*)(L, L, L, L, L, L))kernel)(a[0], a[1], a[2], a[3], a[4], a[5]);
        case 8: return ((void (*)(L, L, L, L, L, L, L, L))kernel)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
    }
    __builtin_trap();
}

inline void enter() {
    call();
    current->done = true;
}

inline void run_block(unsigned count, bool falling) {
    static std::vector<Fibre> fibres(MAX_THREADS);
    if (__start_emulated_shared)
        std::memset(__start_emulated_shared, 0xff, __stop_emulated_shared - __start_emulated_shared);
    for (unsigned i = 0; i < count; ++i) {
        Fibre& fibre = fibres[i];
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack;
        fibre.context.uc_stack.ss_size = STACK_BYTES;
        fibre.context.uc_link = &scheduler;
        fibre.done = false;
        makecontext(&fibre.context, enter, 0);
    }
    for (unsigned done = 0; done < count;) {
        done = 0;
        for (unsigned i = 0; i < count; ++i) {
            threadIdx.x = falling ? count - 1 - i : i;
            current = &fibres[threadIdx.x];
            if (!current->done) swapcontext(&scheduler, &current->context);
            done += current->done;
        }
        if (done > 0 && done < count) faults |= TORN_BARRIER;
    }
}

}  // namespace emulated

inline void __syncthreads() { swapcontext(&emulated::current->context, &emulated::scheduler); }

// What -fsanitize=alignment calls; linked without its runtime, so that a misaligned access ends its thread, not all.
extern "C" void __ubsan_handle_type_mismatch_v1(void*, std::uintptr_t) {
    emulated::faults |= emulated::MISALIGNED;
    emulated::current->done = true;
    setcontext(&emulated::scheduler);
}

// Runs a kernel whose arguments are all 8 bytes wide; returns what went wrong, 0 if nothing did.
extern "C" int emulate(void (*kernel)(), unsigned grid_x, unsigned grid_y, unsigned threads, const long long* arguments,
                       int argument_count, int falling) {
    emulated::kernel = kernel;
    emulated::arguments = arguments;
    emulated::argument_count = argument_count;
    emulated::faults = emulated::FINE;
    gridDim = {grid_x, grid_y, 1};
    blockDim = {threads, 1, 1};
    threadIdx = {0, 0, 0};
    for (unsigned y = 0; y < grid_y; ++y)
        for (unsigned x = 0; x < grid_x; ++x) {
            blockIdx = {x, y, 0};
            emulated::run_block(threads, falling);
        }
    return emulated::faults;
}
