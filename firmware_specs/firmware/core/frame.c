/* Frames (PROTOCOL.md section 2): COBS and CRC-32 byte by byte, so that one body is all the memory a frame takes. */
#include "core.h"

#define MAX_BODY (HEADER_SIZE + MAX_PAYLOAD + CRC_SIZE)

static uint8_t body[MAX_BODY];
static struct progress {
    uint32_t length;    /* bytes of the body so far; those beyond MAX_BODY are not kept */
    uint32_t taken;     /* encoded bytes since the last delimiter, MAX_FRAME: too many, the rest is dropped */
    uint8_t code, left; /* of the present COBS piece, and bytes of it to come */
} in;

static uint32_t crc_add(uint32_t crc, const uint8_t *bytes, size_t count) {
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    for (const uint8_t *end = bytes + count; bytes < end; bytes++) {
        crc = crc >> 4 ^ table[(crc ^ *bytes) & 15];
        crc = crc >> 4 ^ table[(crc ^ *bytes >> 4) & 15];
    }
    return crc;
}

uint64_t load(const uint8_t *from, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value |= (uint64_t)from[i] << (8 * i);
    return value;
}

void store(uint8_t *to, unsigned bytes, uint64_t value) {
    for (; bytes--; value >>= 8) *to++ = (uint8_t)value;
}

static void add(uint8_t byte) {
    if (in.length < MAX_BODY) body[in.length] = byte;
    in.length++;
}

void frame_reset(void) { in = (struct progress){.code = 0xFF}; } /* before the first piece there is no zero */

static void end(void) {
#define TAKEN(NAME, name, type) .name = (type)load(body + AT_##NAME, sizeof(type)),
    const struct frame frame = {HIL_HEADER(TAKEN) .payload = body + HEADER_SIZE};
    bool counts = in.taken && in.taken < MAX_FRAME, fits = in.length <= MAX_BODY && !in.left;
    bool whole = fits && in.length == HEADER_SIZE + CRC_SIZE + (uint32_t)frame.length &&
                 ~crc_add(UINT32_MAX, body, in.length) == CRC_RESIDUE && frame.version == PROTOCOL_VERSION &&
                 frame.part < frame.parts;
    frame_reset();
    if (counts && whole) link_frame(&frame);
    else if (counts) link_damaged();
}

void frame_take(uint8_t byte) {
    if (byte == 0) {
        end();
    } else if (in.taken < MAX_FRAME && ++in.taken == MAX_FRAME) {
        link_damaged();
    } else if (in.left) {
        add(byte);
        in.left--;
    } else {
        if (in.code != 0xFF) add(0);
        in.code = byte;
        in.left = (uint8_t)(byte - 1);
    }
}

/* Out: a piece is kept until its length is known. */
static uint8_t piece[256];
static unsigned filled;

static void flush(void) {
    piece[0] = (uint8_t)(filled + 1);
    port_send(piece, filled + 1);
    filled = 0;
}

static void stuff(const uint8_t *bytes, size_t count) {
    for (const uint8_t *end = bytes + count; bytes < end; bytes++) {
        if (filled == 254) flush(); /* a full run stands for no zero */
        if (*bytes) piece[1 + filled++] = *bytes;
        else flush();
    }
}

void frame_send(const struct frame *frame) {
#define STORED(NAME, name, type) store(header + AT_##NAME, sizeof(type), whole.name);
    uint8_t header[HEADER_SIZE], crc[CRC_SIZE];
    struct frame whole = *frame;
    whole.version = PROTOCOL_VERSION;
    whole.flags |= device_flags();
    HIL_HEADER(STORED)
    store(crc, CRC_SIZE, ~crc_add(crc_add(UINT32_MAX, header, HEADER_SIZE), whole.payload, whole.length));
    stuff(header, HEADER_SIZE);
    stuff(whole.payload, whole.length);
    stuff(crc, CRC_SIZE);
    flush();
    port_send((const uint8_t[]){0}, 1);
}
