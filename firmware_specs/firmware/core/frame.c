/* Frames (PROTOCOL.md section 2): COBS and CRC-32 byte by byte, so that one body is all the memory a frame takes. */
#include "core.h"

#define MAX_BODY (HEADER_SIZE + MAX_PAYLOAD + CRC_SIZE)
#define CRC_START UINT32_C(0xFFFFFFFF)

static uint8_t body[MAX_BODY];
static struct progress {
    uint32_t length;    /* bytes of body so far */
    uint32_t taken;     /* encoded bytes since the last delimiter */
    uint8_t code, left; /* of the present COBS piece, and bytes of it to come */
    bool broken, dropping;
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
    if (in.length < MAX_BODY) body[in.length++] = byte;
    else in.broken = true;
}

void frame_reset(void) { in = (struct progress){.code = 0xFF}; } /* before the first piece there is no zero */

static void end(void) {
    const struct frame frame = {
        .kind = body[AT_KIND], .opcode = body[AT_OPCODE], .session = (uint32_t)load(body + AT_SESSION, 4),
        .sequence = (uint32_t)load(body + AT_SEQUENCE, 4), .part = (uint16_t)load(body + AT_PART, 2),
        .parts = (uint16_t)load(body + AT_PARTS, 2), .length = (uint16_t)load(body + AT_LENGTH, 2),
        .payload = body + HEADER_SIZE,
    };
    bool counts = in.taken && !in.dropping;
    bool whole = !in.broken && !in.left && in.length == HEADER_SIZE + CRC_SIZE + (uint32_t)frame.length &&
                 ~crc_add(CRC_START, body, in.length) == CRC_RESIDUE && body[AT_VERSION] == PROTOCOL_VERSION &&
                 frame.part < frame.parts;
    frame_reset();
    if (counts && whole) link_frame(&frame);
    else if (counts) link_damaged();
}

void frame_take(uint8_t byte) {
    if (byte == 0) {
        end();
    } else if (in.dropping) {
        return;
    } else if (++in.taken >= MAX_FRAME) {
        in.dropping = true;
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

static void stuff(const uint8_t *bytes, size_t count, bool last) {
    bool full = false; /* a body that ends with a full run: nothing follows */
    for (size_t i = 0; i < count; i++) {
        if (bytes[i]) piece[1 + filled++] = bytes[i];
        full = filled == 254;
        if (full || !bytes[i]) flush();
    }
    if (last && !full) flush();
}

void frame_send(const struct frame *frame) {
    uint8_t header[HEADER_SIZE] = {
        [AT_VERSION] = PROTOCOL_VERSION, [AT_KIND] = frame->kind, [AT_OPCODE] = frame->opcode,
        [AT_FLAGS] = (uint8_t)(device_flags() | frame->flags),
    };
    uint8_t crc[CRC_SIZE];
    store(header + AT_SESSION, 4, frame->session);
    store(header + AT_SEQUENCE, 4, frame->sequence);
    store(header + AT_PART, 2, frame->part);
    store(header + AT_PARTS, 2, frame->parts);
    store(header + AT_LENGTH, 2, frame->length);
    store(crc, CRC_SIZE, ~crc_add(crc_add(CRC_START, header, HEADER_SIZE), frame->payload, frame->length));
    stuff(header, HEADER_SIZE, false);
    stuff(frame->payload, frame->length, false);
    stuff(crc, CRC_SIZE, true);
    port_send((const uint8_t[]){0}, 1);
}
