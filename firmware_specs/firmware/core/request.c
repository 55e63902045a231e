/* Fields out of a request's payload, fields into its reply. A refusal stops nothing by itself: fields read behind it
 * are 0, and `done` says so before anything is driven. */
#include "core.h"

struct request request;

union number { /* IEEE 754, either size */
    uint64_t bits64;
    double f64;
    uint32_t bits32;
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
    static const uint8_t zeros[8]; /* what is not there */
    uint32_t left = request.size - request.at;
    if (!request.code) request.field = request.at;
    bool here = require(count <= left && count * width <= left, "payload is too short");
    struct codes codes = {here ? request.in + request.at : zeros, width, here ? (uint32_t)count : 0};
    request.at += codes.count * width;
    return codes;
}

uint32_t code_at(struct codes of, uint64_t i) { return (uint32_t)load(of.bytes + i * of.width, of.width); }

bool codes_within(struct codes codes, uint32_t low, uint32_t high) {
    for (uint32_t i = 0; i < codes.count; i++)
        if (code_at(codes, i) < low || code_at(codes, i) > high) return false;
    return true;
}

double real_at(struct codes of, uint64_t i) {
    uint64_t bits = load(of.bytes + i * of.width, of.width);
    return of.width == 8 ? (union number){bits}.f64 : (union number){.bits32 = (uint32_t)bits}.f32;
}

uint32_t get(unsigned bytes) { return code_at(get_codes(bytes, 1), 0); }

uint32_t get_within(unsigned bytes, uint32_t low, uint32_t high, const char *words) {
    uint32_t value = get(bytes);
    return require(value >= low && value <= high, words) ? value : 0; /* what is refused counts nothing */
}

uint32_t get_width(void) {
    uint32_t width = get(1);
    return require(width == 1 || width == 2 || width == 4 || width == 8, "width is 1, 2, 4 or 8") ? width : 1;
}

double get_real(unsigned bytes, double low, double high, const char *words) {
    double value = real_at(get_codes(bytes, 1), 0);
    return require(value >= low && value <= high, words) ? value : 0;
}

bool done(void) {
    request.field = request.at;
    return require(request.at == request.size, "payload is too long");
}

uint64_t f64(double value) { return (union number){.f64 = value}.bits64; }
uint32_t f32(double value) { return (union number){.f32 = (float)value}.bits32; }

void put_at(uint32_t at, unsigned bytes, uint64_t value) { store(request.out + at, bytes, value); }

void put(unsigned bytes, uint64_t value) {
    put_at(request.length, bytes, value);
    request.length += bytes;
}

void put_numbers(const char *widths, const uint64_t *values) {
    while (*widths) put((unsigned)(*widths++ - '0'), *values++);
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
