// Copies of parts of NCHW maps: rows of every plane, chosen maps of every image. A plane is one map of one image.
//
// Every kernel walks images x planes x words in the order of what it copies, so that neighbouring threads touch
// neighbouring words whatever the sizes. A word is as wide as sizes and pointers allow, at most 16 bytes: the last part
// of a kernel's name. Counts, pitches and lengths are in words.
#include <cuda_fp16.h>

namespace {

const int LOADS = 4;  // of a thread that are under way at once

template <typename Value, int count>
struct alignas(sizeof(Value) * count) Word {
    Value values[count];
};

// A thread's place. Advancing adds with carry, since a division for every word would cost more than the copy.
struct Place {
    long long image, plane, word;

    __device__ Place(long long index, long long planes, long long words) {
        const long long run = index / words;
        image = run / planes;
        plane = run - image * planes;
        word = index - run * words;
    }

    __device__ void advance(const Place& step, long long planes, long long words) {
        word += step.word;
        plane += step.plane;
        image += step.image;
        if (word >= words) {
            word -= words;
            ++plane;
        }
        if (plane >= planes) {
            plane -= planes;
            ++image;
        }
    }
};

// Carries job.read(place) to job.write(place) for every place; each place writes words of its own. All loads of a batch
// come before its first store and without a branch, so that they are under way together.
template <typename Job>
__device__ void copy_all(const Job& job, long long images, long long planes, long long words) {
    const long long total = images * planes * words, threads = (long long)gridDim.x * blockDim.x;
    long long index = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    Place place(index, planes, words);
    const Place step(threads, planes, words);
    for (; index + (LOADS - 1) * threads < total; index += LOADS * threads) {
        typename Job::Item items[LOADS];
        Place ahead = place;
#pragma unroll
        for (int k = 0; k < LOADS; ++k) {
            items[k] = job.read(ahead);
            ahead.advance(step, planes, words);
        }
#pragma unroll
        for (int k = 0; k < LOADS; ++k) {
            job.write(place, items[k]);
            place.advance(step, planes, words);
        }
    }
#pragma unroll 1
    for (; index < total; index += threads) {
        job.write(place, job.read(place));
        place.advance(step, planes, words);
    }
}

// One run of words per plane; runs begin source_pitch apart where they are read, target_pitch where they are written.
template <typename Bits>
struct Runs {
    typedef Bits Item;
    const Bits* __restrict__ source;
    Bits* __restrict__ target;
    long long source_pitch, target_pitch;

    __device__ Bits read(const Place& place) const { return source[place.plane * source_pitch + place.word]; }
    __device__ void write(const Place& place, Bits bits) const {
        target[place.plane * target_pitch + place.word] = bits;
    }
};

__device__ float scaled(float value, float scale) { return value * scale; }
__device__ __half scaled(__half value, float scale) { return __float2half_rn(__half2float(value) * scale); }

template <typename Value, int count>
struct Scaled {
    Word<Value, count> word;
    float scale;

    // The product, which waits for both loads.
    __device__ Word<Value, count> product() const {
        Word<Value, count> result;
#pragma unroll
        for (int k = 0; k < count; ++k) result.values[k] = scaled(word.values[k], scale);
        return result;
    }
};

// Map kept[b] of every image, times scale[b], becomes its b-th.
template <typename Value, int count>
struct Select {
    typedef Scaled<Value, count> Item;
    const Word<Value, count>* __restrict__ source;
    Word<Value, count>* __restrict__ target;
    const int* __restrict__ kept;
    const float* __restrict__ scale;
    long long channels, budget, words;

    __device__ Item read(const Place& place) const {
        const Item item = {source[(place.image * channels + kept[place.plane]) * words + place.word],
                           scale[place.plane]};
        return item;
    }
    __device__ void write(const Place& place, const Item& item) const {
        target[(place.image * budget + place.plane) * words + place.word] = item.product();
    }
};

// Map slots[c] of every image, times its scale, becomes its c-th; where slots[c] is negative that one is 0.
template <typename Value, int count>
struct Scatter {
    typedef Scaled<Value, count> Item;
    const Word<Value, count>* __restrict__ source;
    Word<Value, count>* __restrict__ target;
    const int* __restrict__ slots;
    const float* __restrict__ scale;
    long long channels, budget, words;

    __device__ Item read(const Place& place) const {
        Item item = {};
        const int slot = slots[place.plane];
        if (slot >= 0) {
            item.word = source[(place.image * budget + slot) * words + place.word];
            item.scale = scale[slot];
        }
        return item;
    }
    __device__ void write(const Place& place, const Item& item) const {
        target[(place.image * channels + place.plane) * words + place.word] = item.product();
    }
};

}  // namespace

#define COPY_RUNS(name, Bits)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
        name(const Bits* source, Bits* target, long long source_pitch, long long target_pitch, long long planes,      \
             long long words) {                                                                                       \
        const Runs<Bits> job = {source, target, source_pitch, target_pitch};                                          \
        copy_all(job, 1, planes, words);                                                                              \
    }

COPY_RUNS(copy_runs_x1, unsigned char)
COPY_RUNS(copy_runs_x2, unsigned short)
COPY_RUNS(copy_runs_x4, unsigned int)
COPY_RUNS(copy_runs_x8, uint2)
COPY_RUNS(copy_runs_x16, uint4)

#define COPY_MAPS(name, Value, count)                                                                                 \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
        select_##name(const Word<Value, count>* source, Word<Value, count>* target, const int* kept,                  \
                      const float* scale, long long images, long long channels, long long budget, long long words) {  \
        const Select<Value, count> job = {source, target, kept, scale, channels, budget, words};                      \
        copy_all(job, images, budget, words);                                                                         \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
        scatter_##name(const Word<Value, count>* source, Word<Value, count>* target, const int* slots,                \
                       const float* scale, long long images, long long channels, long long budget, long long words) { \
        const Scatter<Value, count> job = {source, target, slots, scale, channels, budget, words};                    \
        copy_all(job, images, channels, words);                                                                       \
    }

COPY_MAPS(f32_x4, float, 1)
COPY_MAPS(f32_x8, float, 2)
COPY_MAPS(f32_x16, float, 4)
COPY_MAPS(f16_x2, __half, 1)
COPY_MAPS(f16_x4, __half, 2)
COPY_MAPS(f16_x8, __half, 4)
COPY_MAPS(f16_x16, __half, 8)
