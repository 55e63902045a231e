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

bool malformed(uint32_t at, const char *words) { return refuse(ERR_MALFORMED, at, words); }

uint64_t get(unsigned bytes) {
    if (request.code) return 0;
    if (request.size - request.at < bytes) {
        malformed(request.at, "payload is too short");
        return 0;
    }
    request.at += bytes;
    return load(request.in + request.at - bytes, bytes);
}

uint32_t get_within(unsigned bytes, uint32_t low, uint32_t high, const char *words) {
    uint32_t at = request.at, value = (uint32_t)get(bytes);
    if (!request.code && (value < low || value > high)) malformed(at, words);
    return request.code ? 0 : value; /* what is refused counts nothing */
}

double get_f64(const char *words) {
    uint32_t at = request.at;
    uint64_t bits = get(8);
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!request.code && (bits >> 52 & 0x7FF) == 0x7FF) malformed(at, words);
    return request.code ? 0 : value;
}

bool done(void) {
    if (!request.code && request.at != request.size) malformed(request.at, "payload is too long");
    return !request.code;
}

void put(unsigned bytes, uint64_t value) {
    put_at(request.length, bytes, value);
    request.length += bytes;
}

void put_at(uint32_t at, unsigned bytes, uint64_t value) {
    for (unsigned i = 0; i < bytes; i++) request.out[at + i] = (uint8_t)(value >> (8 * i));
}

void put_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put(4, bits);
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
    if (bytes <= MAX_MESSAGE) return true;
    return refuse(ERR_TOO_LARGE, MAX_MESSAGE, "the reply would be longer than max_reply: ask for less");
}

unsigned width_of(uint64_t largest) {
    return largest < UINT64_C(1) << 8 ? 1 : largest < UINT64_C(1) << 16 ? 2 : largest < UINT64_C(1) << 32 ? 4 : 8;
}
