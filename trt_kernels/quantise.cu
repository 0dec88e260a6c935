// Maps to 8-bit codes and back, image by image: the least and greatest value, codes between them, values from codes.
//
// bounds is (images, 2): least, greatest. A word of values or codes holds as many as the width in bytes of the former,
// the last part of a kernel's name, allows. Grids are (any number of blocks) x (any number of images at a time).
// The arithmetic is spelt out in functions that round once each: fused, it would give other codes on other devices.
#include <cuda_fp16.h>
#include <math.h>

namespace {

const int THREADS = 256;  // of a block
const int LOADS = 4;      // of a thread that are under way at once

template <typename Value, int count>
struct alignas(sizeof(Value) * count) Word {
    Value values[count];
};

__device__ float to_float(float value) { return value; }
__device__ float to_float(__half value) { return __half2float(value); }
__device__ void from_float(float value, float& result) { result = value; }
__device__ void from_float(float value, __half& result) { result = __float2half_rn(value); }

// Calls job.take(word, item) for the items of all words. All loads of a batch come before its first store and without a
// branch, so that they are under way together.
template <typename Item, typename Job>
__device__ void take_all(const Item* __restrict__ items, long long words, Job& job) {
    const long long step = (long long)gridDim.x * THREADS;
    long long word = blockIdx.x * (long long)THREADS + threadIdx.x;
    for (; word + (LOADS - 1) * step < words; word += LOADS * step) {
        Item batch[LOADS];
#pragma unroll
        for (int k = 0; k < LOADS; ++k) batch[k] = items[word + k * step];
#pragma unroll
        for (int k = 0; k < LOADS; ++k) job.take(word + k * step, batch[k]);
    }
#pragma unroll 1
    for (; word < words; word += step) {
        const Item item = items[word];
        job.take(word, item);
    }
}

struct Bounds {
    float low, high;

    __device__ Bounds() : low(INFINITY), high(-INFINITY) {}
    // A NaN stays in high, which is enough to be seen in the end; fminf ignores it.
    __device__ void add(float least, float greatest) {
        low = fminf(low, least);
        high = high >= greatest || high != high ? high : greatest;
    }
    template <typename Value, int count>
    __device__ void take(long long, const Word<Value, count>& item) {
#pragma unroll
        for (int k = 0; k < count; ++k) add(to_float(item.values[k]), to_float(item.values[k]));
    }
    __device__ void store(float* target) const {
        target[0] = low;
        target[1] = high;
    }
};

// The bounds of all threads of a block, in its first one.
__device__ void reduce_block(Bounds& bounds) {
    __shared__ float lows[THREADS];
    __shared__ float highs[THREADS];
    const int thread = threadIdx.x;
    lows[thread] = bounds.low;
    highs[thread] = bounds.high;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) {
            bounds.add(lows[thread + half], highs[thread + half]);
            lows[thread] = bounds.low;
            highs[thread] = bounds.high;
        }
    }
    __syncthreads();  // the next image writes there
}

template <typename Value, int count>
struct Quantise {
    Word<unsigned char, count>* __restrict__ codes;
    float low, factor;

    __device__ Quantise(Word<unsigned char, count>* target, const float* bounds) : codes(target), low(bounds[0]) {
        const float levels_per_unit = __fdiv_rn(255.0f, __fsub_rn(bounds[1], bounds[0]));
        // Infinite where the values are one value, or all but one; NaN where a bound is.
        factor = levels_per_unit < INFINITY ? levels_per_unit : 0.0f;
    }
    __device__ void take(long long word, const Word<Value, count>& item) const {
        Word<unsigned char, count> result;
#pragma unroll
        for (int k = 0; k < count; ++k) {
            const float level = rintf(__fmul_rn(__fsub_rn(to_float(item.values[k]), low), factor));
            result.values[k] = (unsigned char)fminf(fmaxf(level, 0.0f), 255.0f);  // fmaxf makes a NaN 0
        }
        codes[word] = result;
    }
};

template <typename Value, int count>
struct Dequantise {
    Word<Value, count>* __restrict__ maps;
    float low, high, step;

    __device__ Dequantise(Word<Value, count>* target, const float* bounds)
        : maps(target), low(bounds[0]), high(bounds[1]), step(__fdiv_rn(__fsub_rn(high, low), 255.0f)) {}
    __device__ void take(long long word, const Word<unsigned char, count>& item) const {
        Word<Value, count> result;
#pragma unroll
        for (int k = 0; k < count; ++k) {
            const float value = __fadd_rn(low, __fmul_rn((float)item.values[k], step));
            from_float(fminf(value, high), result.values[k]);  // 255 steps may round to above the greatest value
        }
        maps[word] = result;
    }
};

}  // namespace

// Bounds of whole images from those of their parts; both are NaN where a value or the range is not finite.
extern "C" __global__ void __launch_bounds__(THREADS)
    merge_bounds(const float* __restrict__ parts, float* __restrict__ bounds, long long images, long long count) {
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        Bounds all;
        for (long long part = threadIdx.x; part < count; part += THREADS) {
            const float* pair = parts + (part * images + image) * 2;
            all.add(pair[0], pair[1]);
        }
        reduce_block(all);
        if (threadIdx.x != 0) continue;
        if (!(__fsub_rn(all.high, all.low) < INFINITY)) all.low = all.high = NAN;
        all.store(bounds + image * 2);
    }
}

// bounds_*: parts is (blocks, images, 2), what each block saw of each image.
#define QUANTISE(name, Value, count)                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                             \
        bounds_##name(const Word<Value, count>* maps, float* parts, long long images, long long words) {              \
        for (long long image = blockIdx.y; image < images; image += gridDim.y) {                                      \
            Bounds seen;                                                                                              \
            take_all(maps + image * words, words, seen);                                                              \
            reduce_block(seen);                                                                                       \
            if (threadIdx.x == 0) seen.store(parts + (blockIdx.x * images + image) * 2);                              \
        }                                                                                                             \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                             \
        quantise_##name(const Word<Value, count>* maps, Word<unsigned char, count>* codes, const float* bounds,       \
                        long long images, long long words) {                                                          \
        for (long long image = blockIdx.y; image < images; image += gridDim.y) {                                      \
            Quantise<Value, count> job(codes + image * words, bounds + image * 2);                                    \
            take_all(maps + image * words, words, job);                                                               \
        }                                                                                                             \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                             \
        dequantise_##name(const Word<unsigned char, count>* codes, Word<Value, count>* maps, const float* bounds,     \
                          long long images, long long words) {                                                        \
        for (long long image = blockIdx.y; image < images; image += gridDim.y) {                                      \
            Dequantise<Value, count> job(maps + image * words, bounds + image * 2);                                   \
            take_all(codes + image * words, words, job);                                                              \
        }                                                                                                             \
    }

QUANTISE(f32_x4, float, 1)
QUANTISE(f32_x8, float, 2)
QUANTISE(f32_x16, float, 4)
QUANTISE(f16_x2, __half, 1)
QUANTISE(f16_x4, __half, 2)
QUANTISE(f16_x8, __half, 4)
QUANTISE(f16_x16, __half, 8)
