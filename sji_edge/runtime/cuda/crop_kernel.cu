// Every crop of a frame in one launch: rotate, cut and resize into the engine's uint8 NHWC batch.
//
// One thread a pixel of a crop; blockIdx.z is the crop. Maps are int64 (count, 2, 3).
#include "crop_pixel.h"

extern "C" __global__ void sji_crop_batch(const unsigned char *pixels, int frame_height, int frame_width,
                                          int frame_channels, const SjiCoordinate *maps, unsigned char *crops,
                                          int height, int width, int channels) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= width || row >= height) return;
    const size_t crop = blockIdx.z;
    const SjiFrame frame = {pixels, frame_height, frame_width, frame_channels};
    const SjiCoordinate *map = maps + crop * 6;
    unsigned char *out = crops + ((crop * height + row) * width + column) * channels;
    for (int channel = 0; channel < channels; ++channel) {
        // A grey frame gives every channel of a colour model the same sample.
        out[channel] = channel > 0 && frame_channels == 1
                           ? out[0]
                           : sji_crop_pixel(frame, map, row, column, channel, channels);
    }
}
