/* What stands on the array: CONFIGURE and TOPOLOGY (PROTOCOL.md 7.5). Dense Hopfield blocks on one array. */
#include "core.h"

static struct topology present, candidate;
static uint8_t image[2 + 1 + BOARD_MAX_LAYERS * (1 + 3 * 4 + 1 + 8) + 1 + BOARD_COUPLINGS * 11];
static uint32_t image_size; /* the topology as CONFIGURE had it, for TOPOLOGY and to know it again; 0: none */
static const char *misfit;  /* why the device cannot hold the candidate; what is wrong in itself is MALFORMED */

void topology_reset(void) { image_size = 0; }

const struct topology *placed(uint32_t array) {
    allow(array < BOARD_ARRAYS, ERR_OUT_OF_RANGE, array, "there is no such array");
    return allow(image_size, ERR_NOT_CONFIGURED, array, "array without topology: CONFIGURE it") ? &present : NULL;
}

static void fit(bool does, const char *words) {
    if (!does && !misfit) misfit = words;
}

static struct codes get_shape(uint32_t rank) {
    struct codes shape = get_codes(4, rank);
    require(codes_within(shape, 1, UINT32_MAX), "a shape has no 0");
    return shape;
}

static struct layer get_layer(void) {
    uint64_t units = 1;
    uint32_t rank = get_within(1, 1, 3, "rank is 1 or 3");
    require(rank != 2, "rank is 1 or 3");
    struct codes shape = get_shape(rank);
    for (uint32_t i = 0; i < shape.count; i++) /* stays above what any board has */
        units = units * code_at(shape, i) > UINT32_MAX ? UINT32_MAX : units * code_at(shape, i);
    struct layer layer = {.units = (uint32_t)units};
    layer.clamped = (uint8_t)get_within(1, 0, 1, "clamped is 0 or 1");
    layer.slope = get_real(8, 1e-9, 1e9, "slope is 1e-9 .. 1e9");
    fit(units <= BOARD_MAX_UNITS, "a layer has more units than the array");
    return layer;
}

static struct coupling get_coupling(const struct topology *t) {
    static const char words[] = "0 in a dense coupling; kernel and stride of a convolution are at least 1";
    bool conv = get_within(1, 0, 1, "kind is 0 or 1");
    uint32_t pre = get(1);
    require(pre < 128 || pre == 255, "pre is -1 or a layer");
    uint32_t post = get_within(1, 0, 127, "post is a layer");
    bool bias = get_within(1, 0, 1, "bias is 0 or 1");
    bool leads = pre < post && post < t->layers && post < BOARD_MAX_LAYERS;
    (void)get_within(2, conv, conv ? UINT16_MAX : 0, words); /* kernel, stride, padding, pool */
    (void)get_within(2, conv, conv ? UINT16_MAX : 0, words);
    (void)get_within(2, 0, conv ? UINT16_MAX : 0, words);
    (void)get_within(1, 0, conv, words);
    fit(!conv, "this array has dense couplings only");
    fit(leads, "a coupling leads from an earlier layer to a later one");
    uint32_t rows = t->layer[leads ? pre : 0].units + bias, columns = t->layer[leads ? post : 0].units;
    bool small = rows <= BOARD_MAX_ROWS && columns <= BOARD_MAX_COLUMNS;
    fit(small, "a coupling has more rows or columns than the array");
    return (struct coupling){(uint8_t)pre, (uint8_t)post, bias, rows, columns};
}

static void get_topology(struct topology *t) {
    static const uint32_t fixed[] = BOARD_LAYERS;
    const unsigned wired = COUNT(fixed) - 1;
    misfit = NULL;
    fit(!get_within(1, 0, 1, "substrate is 0 or 1"), "this array is Hopfield");
    fit(!get_shape(get_within(1, 0, 3, "source nodes have rank 0 to 3")).count, "a Hopfield array has no source nodes");
    t->layers = (uint8_t)get_within(1, 1, 255, "there is at least one layer");
    fit(t->layers <= BOARD_MAX_LAYERS, "more layers than the array has");
    for (unsigned i = 0; i < t->layers; i++) t->layer[i < BOARD_MAX_LAYERS ? i : 0] = get_layer();
    t->couplings = (uint8_t)get(1);
    fit(t->couplings <= BOARD_COUPLINGS, "more couplings than the array has");
    for (unsigned i = 0; i < t->couplings; i++) t->coupling[i < BOARD_COUPLINGS ? i : 0] = get_coupling(t);
    for (unsigned i = 0; i < t->layers && !misfit && !request.code; i++) {
        bool driven = i == 0;
        for (unsigned c = 0; c < t->couplings; c++) driven |= t->coupling[c].post == i;
        fit(driven, "a layer has no coupling from an earlier one: nothing drives it");
        fit(!wired || (t->layers == wired && t->layer[i].units == fixed[i]), "the layers are wired, see FABRIC");
    }
}

void verb_configure(void) {
    uint32_t array = get(2);
    get_topology(&candidate);
    done();
    allow(array < BOARD_ARRAYS, ERR_OUT_OF_RANGE, array, "there is no such array");
    if (!allow(!misfit, ERR_DOES_NOT_FIT, 0, misfit)) return;
    if (request.size - 2 != image_size || memcmp(image, request.in + 2, image_size) != 0) {
        present = candidate;
        image_size = request.size - 2;
        memcpy(image, request.in + 2, image_size);
        chip_place(&present);
    }
    put(2, present.couplings);
    for (unsigned i = 0; i < present.couplings; i++) PUT("44", present.coupling[i].rows, present.coupling[i].columns);
}

void verb_topology(void) {
    uint32_t array = get(2);
    if (done() && placed(array)) put_bytes(image, image_size);
}
