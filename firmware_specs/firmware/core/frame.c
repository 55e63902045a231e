/* Frames (PROTOCOL.md section 2): COBS and CRC-32 byte by byte, so that one body is all the memory a frame takes. */
#include <string.h>

#include "core.h"

#define MAX_BODY (HEADER_SIZE + MAX_PAYLOAD + CRC_SIZE)

static uint8_t body[MAX_BODY];
static uint32_t length; /* bytes of body so far */
static uint32_t taken;  /* encoded bytes since the last delimiter */
static uint8_t code;    /* of the present COBS piece */
static uint8_t left;    /* bytes of it to come */
static bool broken, dropping;

static uint32_t crc_add(uint32_t crc, const uint8_t *bytes, size_t count) {
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return crc;
}

uint64_t load(const uint8_t *from, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value |= (uint64_t)from[i] << (8 * i);
    return value;
}

static void store(uint8_t *to, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * i));
}

static void add(uint8_t byte) {
    if (length < MAX_BODY) body[length++] = byte;
    else broken = true;
}

void frame_reset(void) {
    length = taken = 0;
    left = 0;
    code = 0xFF; /* before the first piece there is no zero */
    broken = dropping = false;
}

static bool sound(void) {
    return !broken && !left && length >= HEADER_SIZE + CRC_SIZE &&
           (crc_add(UINT32_C(0xFFFFFFFF), body, length) ^ UINT32_C(0xFFFFFFFF)) == CRC_RESIDUE &&
           body[AT_VERSION] == PROTOCOL_VERSION &&
           load(body + AT_LENGTH, 2) == length - HEADER_SIZE - CRC_SIZE &&
           load(body + AT_PART, 2) < load(body + AT_PARTS, 2);
}

static void end(void) {
    bool empty = taken == 0, dropped = dropping, whole = sound();
    struct frame frame = {
        .kind = body[AT_KIND], .opcode = body[AT_OPCODE], .session = (uint32_t)load(body + AT_SESSION, 4),
        .sequence = (uint32_t)load(body + AT_SEQUENCE, 4), .part = (uint16_t)load(body + AT_PART, 2),
        .parts = (uint16_t)load(body + AT_PARTS, 2), .length = (uint16_t)load(body + AT_LENGTH, 2),
        .payload = body + HEADER_SIZE,
    };
    frame_reset();
    if (empty || dropped) return;
    if (whole) link_frame(&frame);
    else link_damaged();
}

void frame_take(uint8_t byte) {
    if (byte == 0) {
        end();
    } else if (dropping) {
        return;
    } else if (++taken >= MAX_FRAME) {
        dropping = true;
        link_damaged();
    } else if (left) {
        add(byte);
        left--;
    } else {
        if (code != 0xFF) add(0);
        code = byte;
        left = (uint8_t)(byte - 1);
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

static void stuff(const uint8_t *bytes, size_t count, bool last) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == 0) {
            flush();
            continue;
        }
        piece[1 + filled++] = bytes[i];
        if (filled == 254) {
            flush();
            if (last && i + 1 == count) return; /* the body ends with a full run: nothing follows */
        }
    }
    if (last) flush();
}

void frame_send(const struct frame *frame) {
    uint8_t header[HEADER_SIZE], crc[CRC_SIZE];
    static const uint8_t delimiter = 0;
    header[AT_VERSION] = PROTOCOL_VERSION;
    header[AT_KIND] = frame->kind;
    header[AT_OPCODE] = frame->opcode;
    header[AT_FLAGS] = (uint8_t)(device_flags() | frame->flags);
    store(header + AT_SESSION, frame->session, 4);
    store(header + AT_SEQUENCE, frame->sequence, 4);
    store(header + AT_PART, frame->part, 2);
    store(header + AT_PARTS, frame->parts, 2);
    store(header + AT_LENGTH, frame->length, 2);
    uint32_t sum = crc_add(UINT32_C(0xFFFFFFFF), header, HEADER_SIZE);
    sum = crc_add(sum, frame->payload, frame->length);
    store(crc, sum ^ UINT32_C(0xFFFFFFFF), CRC_SIZE);
    stuff(header, HEADER_SIZE, false);
    stuff(frame->payload, frame->length, false);
    stuff(crc, CRC_SIZE, true);
    port_send(&delimiter, 1);
}
