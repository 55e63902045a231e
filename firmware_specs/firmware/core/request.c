/* Fields out of a request's payload, fields into its reply. A refusal stops nothing by itself: fields read behind it
 * are 0, and `done` says so before anything is driven. */
#include <string.h>

#include "core.h"

struct request request;

bool refuse(unsigned code, uint32_t detail, const char *words) {
    if (!request.code) {
        request.code = (uint16_t)code;
        request.detail = detail;
        request.words = words;
    }
    return false;
}

bool require(bool fine, const char *words) {
    return (fine && !request.code) || refuse(ERR_MALFORMED, request.field, words);
}

struct codes get_codes(uint32_t width, uint64_t count) {
    uint32_t left = request.size - request.at;
    if (!request.code) request.field = request.at;
    if (!require(count <= left && count * width <= left, "payload is too short")) count = 0;
    request.at += (uint32_t)count * width;
    return (struct codes){request.in + request.at - count * width, width, count};
}

uint32_t code_at(const struct codes *codes, uint64_t i) {
    return (uint32_t)load(codes->bytes + i * codes->width, codes->width);
}

bool codes_within(const struct codes *codes, uint32_t low, uint32_t high) {
    for (uint64_t i = 0; i < codes->count; i++)
        if (code_at(codes, i) < low || code_at(codes, i) > high) return false;
    return true;
}

uint64_t get(unsigned bytes) {
    struct codes one = get_codes(bytes, 1);
    return one.count ? load(one.bytes, bytes) : 0;
}

uint32_t get_within(unsigned bytes, uint32_t low, uint32_t high, const char *words) {
    uint32_t value = (uint32_t)get(bytes);
    return require(value >= low && value <= high, words) ? value : 0; /* what is refused counts nothing */
}

uint32_t get_width(void) {
    uint32_t width = (uint32_t)get(1);
    return require(width == 1 || width == 2 || width == 4 || width == 8, "width is 1, 2, 4 or 8") ? width : 1;
}

double f64_at(const struct codes *codes, uint64_t i) {
    uint64_t bits = load(codes->bytes + i * 8, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double get_f64(const char *words) {
    struct codes one = get_codes(8, 1);
    double value = one.count ? f64_at(&one, 0) : 0;
    return require(isfinite(value), words) ? value : 0;
}

double get_positive(const char *words) {
    double value = get_f64(words);
    return require(value > 0, words) ? value : 0;
}

float get_f32(const char *words) {
    uint32_t bits = (uint32_t)get(4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return require(isfinite(value), words) ? value : 0;
}

bool done(void) {
    request.field = request.at;
    return require(request.at == request.size, "payload is too long");
}

void put_at(uint32_t at, unsigned bytes, uint64_t value) { store(request.out + at, bytes, value); }

void put(unsigned bytes, uint64_t value) {
    put_at(request.length, bytes, value);
    request.length += bytes;
}

void put_f32_at(uint32_t at, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_at(at, 4, bits);
}

void put_f64(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put(8, bits);
}

void put_text(const char *text) {
    uint32_t length = (uint32_t)strlen(text);
    put(2, length);
    memcpy(request.out + request.length, text, length);
    request.length += length;
}

bool reply_fits(uint64_t bytes) {
    return bytes <= MAX_MESSAGE ||
           refuse(ERR_TOO_LARGE, MAX_MESSAGE, "the reply would be longer than max_reply: ask for less");
}

unsigned width_of(uint64_t largest) {
    return largest < UINT64_C(1) << 8 ? 1 : largest < UINT64_C(1) << 16 ? 2 : largest < UINT64_C(1) << 32 ? 4 : 8;
}
