/* What stands on the array: CONFIGURE and TOPOLOGY (PROTOCOL.md 7.5). Dense Hopfield blocks on one array. */
#include <string.h>

#include "core.h"

static struct topology present, candidate;
static bool configured;
static uint8_t image[2 + 1 + BOARD_MAX_LAYERS * (1 + 3 * 4 + 1 + 8) + 1 + BOARD_COUPLINGS * 11];
static uint32_t image_size; /* the topology as CONFIGURE had it, for TOPOLOGY and to know it again */

void topology_reset(void) { configured = false; }

const struct topology *placed(uint32_t array) {
    if (request.code) return NULL;
    if (array >= BOARD_ARRAYS) refuse(ERR_OUT_OF_RANGE, array, "there is no such array");
    else if (!configured) refuse(ERR_NOT_CONFIGURED, array, "array without topology: CONFIGURE it");
    return request.code ? NULL : &present;
}

static void get_layer(struct layer *layer) {
    uint32_t at = request.at;
    layer->rank = (uint8_t)get(1);
    if (!request.code && layer->rank != 1 && layer->rank != 3) malformed(at, "rank is 1 or 3");
    layer->units = 1;
    uint64_t units = 1;
    for (unsigned i = 0; i < layer->rank && !request.code; i++) {
        layer->shape[i] = get_within(4, 1, UINT32_MAX, "a shape has no 0");
        if (units <= UINT32_MAX) units *= layer->shape[i]; /* stays above what any board has */
    }
    layer->units = units > UINT32_MAX ? UINT32_MAX : (uint32_t)units;
    layer->clamped = (uint8_t)get_within(1, 0, 1, "clamped is 0 or 1");
    at = request.at;
    layer->slope = get_f64("slope is 1e-9 .. 1e9");
    if (!request.code && !(layer->slope >= 1e-9 && layer->slope <= 1e9)) malformed(at, "slope is 1e-9 .. 1e9");
}

/* `fits` collects why the device cannot hold it; fields that are wrong in themselves are MALFORMED. */
static const char *fits;

static void does_not_fit(const char *words) {
    if (!fits) fits = words;
}

static void get_coupling(struct coupling *coupling, unsigned layers) {
    bool conv = get_within(1, 0, 1, "kind is 0 or 1");
    uint32_t at = request.at;
    int8_t pre = (int8_t)get(1);
    if (!request.code && pre < -1) malformed(at, "pre is -1 or a layer");
    at = request.at;
    int8_t post = (int8_t)get(1);
    if (!request.code && post < 0) malformed(at, "post is a layer");
    coupling->bias = (uint8_t)get_within(1, 0, 1, "bias is 0 or 1");
    static const char words[] = "0 in a dense coupling; kernel and stride of a convolution are at least 1";
    (void)get_within(2, conv, conv ? UINT16_MAX : 0, words);
    (void)get_within(2, conv, conv ? UINT16_MAX : 0, words);
    (void)get_within(2, 0, conv ? UINT16_MAX : 0, words);
    (void)get_within(1, 0, conv, words);
    if (conv) does_not_fit("this array has dense couplings only");
    if (pre < 0 || pre >= post || (unsigned)post >= layers) {
        does_not_fit("a coupling leads from an earlier layer to a later one");
        pre = post = 0;
    }
    coupling->pre = (uint8_t)pre;
    coupling->post = (uint8_t)post;
}

static void check(struct topology *t) {
    static const uint32_t fixed[] = BOARD_LAYERS;
    const unsigned wired = sizeof fixed / sizeof *fixed - 1;
    for (unsigned i = 0; i < t->layers; i++) {
        bool driven = i == 0;
        for (unsigned c = 0; c < t->couplings; c++) driven |= t->coupling[c].post == i;
        if (!driven) does_not_fit("a layer has no coupling from an earlier one: nothing drives it");
        if (t->layer[i].units > BOARD_MAX_UNITS) does_not_fit("a layer has more units than the array");
        if (wired && (t->layers != wired || t->layer[i].units != fixed[i]))
            does_not_fit("the layers are wired, see FABRIC");
    }
    for (unsigned c = 0; c < t->couplings; c++) {
        struct coupling *coupling = &t->coupling[c];
        coupling->rows = t->layer[coupling->pre].units + coupling->bias;
        coupling->columns = t->layer[coupling->post].units;
        if (coupling->rows > BOARD_MAX_ROWS || coupling->columns > BOARD_MAX_COLUMNS)
            does_not_fit("a coupling has more rows or columns than the array");
    }
}

static void get_topology(struct topology *t) {
    fits = NULL;
    memset(t, 0, sizeof *t);
    if (get_within(1, 0, 1, "substrate is 0 or 1")) does_not_fit("this array is Hopfield");
    unsigned rank = get_within(1, 0, 3, "source nodes have rank 0 to 3");
    for (unsigned i = 0; i < rank; i++) (void)get_within(4, 1, UINT32_MAX, "a shape has no 0");
    if (rank) does_not_fit("a Hopfield array has no source nodes");
    struct layer spare;
    struct coupling another;
    unsigned layers = get_within(1, 1, 255, "there is at least one layer");
    if (layers > BOARD_MAX_LAYERS) does_not_fit("more layers than the array has");
    for (unsigned i = 0; i < layers; i++) get_layer(i < BOARD_MAX_LAYERS ? &t->layer[i] : &spare);
    unsigned couplings = (unsigned)get(1);
    if (couplings > BOARD_COUPLINGS) does_not_fit("more couplings than the array has");
    for (unsigned i = 0; i < couplings; i++) get_coupling(i < BOARD_COUPLINGS ? &t->coupling[i] : &another, layers);
    t->layers = (uint8_t)layers;
    t->couplings = (uint8_t)couplings;
    if (!request.code && !fits) check(t);
}

bool verb_configure(void) {
    uint32_t array = (uint32_t)get(2);
    get_topology(&candidate);
    if (!done()) return false;
    if (array >= BOARD_ARRAYS) return refuse(ERR_OUT_OF_RANGE, array, "there is no such array");
    if (fits) return refuse(ERR_DOES_NOT_FIT, 0, fits);
    bool same = configured && request.size - 2 == image_size && !memcmp(image, request.in + 2, image_size);
    if (!same) {
        present = candidate;
        image_size = request.size - 2;
        memcpy(image, request.in + 2, image_size);
        configured = true;
        chip_place(&present);
    }
    put(2, present.couplings);
    for (unsigned i = 0; i < present.couplings; i++) {
        put(4, present.coupling[i].rows);
        put(4, present.coupling[i].columns);
    }
    return true;
}

bool verb_topology(void) {
    uint32_t array = (uint32_t)get(2);
    if (!done() || !placed(array)) return false;
    memcpy(request.out, image, image_size);
    request.length = image_size;
    return true;
}
