// One sample of one crop, the same source for the GPU (nvcc) and for the tests on the CPU (g++).
//
// It follows sji_edge/core/preprocess.py: the crop's pixel goes through the joint's affine map into the frame;
// the four neighbours are mixed, edge pixels repeated, and the mean is rounded. Colour turns into grey before
// the mixing, as there. Coordinates follow OpenCV: pixel centres lie at whole numbers.
//
// Coordinates are whole numbers of 2^-32 pixels: most cards compute float64 at a 32nd or a 64th of their speed.
#ifndef SJI_EDGE_CROP_PIXEL_H
#define SJI_EDGE_CROP_PIXEL_H

#ifdef __CUDACC_RTC__
typedef unsigned long size_t;
#else
#include <stddef.h>
#endif

typedef long long SjiCoordinate;

#ifdef __CUDACC__
#define SJI_FUNCTION static __host__ __device__ __forceinline__
#else
#define SJI_FUNCTION static inline
#endif

// A frame of uint8 samples: grey (1 channel) or BGR (3), rows without gaps.
struct SjiFrame {
    const unsigned char *pixels;
    int height;
    int width;
    int channels;
};

SJI_FUNCTION int sji_within(int value, int size) {
    return value < 0 ? 0 : (value >= size ? size - 1 : value);
}

// A sample of the frame as the model wants it: its own channel, grey from BGR, or grey for every channel.
SJI_FUNCTION float sji_sample(SjiFrame frame, int x, int y, int channel, int channels) {
    const unsigned char *pixel =
        frame.pixels + ((size_t)sji_within(y, frame.height) * frame.width + sji_within(x, frame.width)) *
                           frame.channels;
    if (frame.channels == 1) return pixel[0];
    if (channels == 3) return pixel[channel];
    // OpenCV's BGR to grey: weights 0.114, 0.587, 0.299 in 15 bits, rounded.
    return (float)((pixel[0] * 3735 + pixel[1] * 19235 + pixel[2] * 9798 + (1 << 14)) >> 15);
}

// The sample (row, column, channel) of a crop; `map` is (2, 3), from crop pixels to 2^-32 frame pixels.
SJI_FUNCTION unsigned char sji_crop_pixel(SjiFrame frame, const SjiCoordinate *map, int row, int column, int channel,
                                          int channels) {
    const SjiCoordinate x = map[0] * column + map[1] * row + map[2];
    const SjiCoordinate y = map[3] * column + map[4] * row + map[5];
    // The upper 24 of the 32 bits below a pixel: what a float32 holds.
    const float right_share = (float)((unsigned int)x >> 8) * (1.0f / 16777216.0f);
    const float lower_share = (float)((unsigned int)y >> 8) * (1.0f / 16777216.0f);
    const int x0 = (int)(x >> 32), y0 = (int)(y >> 32);
    const float a = sji_sample(frame, x0, y0, channel, channels);
    const float b = sji_sample(frame, x0 + 1, y0, channel, channels);
    const float c = sji_sample(frame, x0, y0 + 1, channel, channels);
    const float d = sji_sample(frame, x0 + 1, y0 + 1, channel, channels);
    const float upper = a + right_share * (b - a);
    const float lower = c + right_share * (d - c);
    return (unsigned char)(upper + lower_share * (lower - upper) + 0.5f);
}

#endif
