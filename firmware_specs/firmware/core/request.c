/* Fields out of a request's payload, fields into its reply. A refusal stops nothing by itself: fields read behind it
 * are 0, and `done` says so before anything is driven. */
#include <string.h>

#include "core.h"

struct request request;

union number { /* IEEE 754 */
    uint64_t bits;
    double f64;
};

union half {
    uint32_t bits;
    float f32;
};

bool allow(bool fine, unsigned code, uint32_t detail, const char *words) {
    if (!fine && !request.code) {
        request.code = (uint16_t)code;
        request.detail = detail;
        request.words = words;
    }
    return !request.code;
}

bool require(bool fine, const char *words) { return allow(fine, ERR_MALFORMED, request.field, words); }

struct codes get_codes(uint32_t width, uint64_t count) {
    uint32_t left = request.size - request.at;
    if (!request.code) request.field = request.at;
    bool here = require(count <= left && count * width <= left, "payload is too short");
    struct codes codes = {request.in + request.at, width, here ? (uint32_t)count : 0};
    request.at += codes.count * width;
    return codes;
}

uint32_t code_at(const struct codes *of, uint64_t i) { return (uint32_t)load(of->bytes + i * of->width, of->width); }

bool codes_within(const struct codes *codes, uint32_t low, uint32_t high) {
    for (uint32_t i = 0; i < codes->count; i++)
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

double f64_at(const struct codes *of, uint64_t i) { return (union number){.bits = load(of->bytes + i * 8, 8)}.f64; }

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
    float value = (union half){.bits = (uint32_t)get(4)}.f32;
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

void put_f64(double value) { put(8, (union number){.f64 = value}.bits); }

void put_f32_at(uint32_t at, float value) { put_at(at, 4, (union half){.f32 = value}.bits); }

void put_numbers(const char *widths, const uint64_t *values) {
    for (; *widths; widths++) put((unsigned)(*widths - '0'), *values++);
}

void put_bytes(const void *bytes, uint32_t count) {
    memcpy(request.out + request.length, bytes, count);
    request.length += count;
}

void put_text(const char *text) {
    put(2, strlen(text));
    put_bytes(text, (uint32_t)strlen(text));
}

bool reply_fits(uint64_t bytes) {
    return allow(bytes <= MAX_MESSAGE, ERR_TOO_LARGE, MAX_MESSAGE, "the reply would pass max_reply: ask for less");
}

unsigned width_of(uint64_t largest) {
    return largest < UINT64_C(1) << 8 ? 1 : largest < UINT64_C(1) << 16 ? 2 : largest < UINT64_C(1) << 32 ? 4 : 8;
}
