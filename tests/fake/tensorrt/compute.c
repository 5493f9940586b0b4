/* What each layer computes. */
#include "layers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/half.h"

/* A node that is computed: itself, its value to fill, and those of its inputs. */
struct step {
    const struct trt_tensor *node;
    struct value *out;
    const struct value *in[5];
};

static int64_t last_of(const struct value *value)
{
    return value->dims.size[value->dims.count - 1];
}

/* Room for the output, whose dimensions are set. */
static bool room(struct step *s)
{
    s->out->data = calloc(fake_count(&s->out->dims) + 1, sizeof *s->out->data);
    return s->out->data || fake_refuse("no memory");
}

/* Sizes of what is computed element by element: those of both, where 1 is repeated. */
static bool broadcast(struct step *s, int inputs)
{
    s->out->dims = s->in[0]->dims;
    for (int i = 1; i < inputs; i++)
        for (int32_t k = 0; k < s->out->dims.count; k++) {
            int64_t *size = &s->out->dims.size[k], other = s->in[i]->dims.size[k];
            if (*size == 1)
                *size = other;
            else if (other != 1 && other != *size)
                return fake_refuse("sizes %ld and %ld of dimension %d", (long)*size, (long)other,
                                   k);
        }
    return room(s);
}

/* The element of an input that stands at a place of the output. */
static float at(const struct value *value, const struct trt_dims *dims, size_t place)
{
    size_t index = 0, stride = 1;
    for (int32_t k = dims->count - 1; k >= 0; k--) {
        size_t here = place % (size_t)dims->size[k];
        place /= (size_t)dims->size[k];
        index += value->dims.size[k] == 1 ? 0 : here * stride;
        stride *= (size_t)value->dims.size[k];
    }
    return value->data[index];
}

static bool binary(struct step *s)
{
    if (!broadcast(s, 2))
        return false;
    for (size_t i = 0; i < fake_count(&s->out->dims); i++) {
        float a = at(s->in[0], &s->out->dims, i), b = at(s->in[1], &s->out->dims, i);
        s->out->data[i] = s->node->argument[0] == TRT_ADD        ? a + b
                          : s->node->argument[0] == TRT_SUBTRACT ? a - b
                          : s->node->argument[0] == TRT_MULTIPLY ? a * b
                                                                 : (float)(a < b);
    }
    return true;
}

static bool choose(struct step *s)
{
    if (!broadcast(s, 3))
        return false;
    for (size_t i = 0; i < fake_count(&s->out->dims); i++)
        s->out->data[i] = at(s->in[at(s->in[0], &s->out->dims, i) != 0 ? 1 : 2], &s->out->dims, i);
    return true;
}

static bool unary(struct step *s)
{
    s->out->dims = s->in[0]->dims;
    if (!room(s))
        return false;
    for (size_t i = 0; i < fake_count(&s->out->dims); i++) {
        float a = s->in[0]->data[i];
        s->out->data[i] = s->node->argument[0] == TRT_SQRT         ? sqrtf(a)
                          : s->node->argument[0] == TRT_RECIPROCAL ? 1 / a
                                                                   : 1 / (1 + expf(-a));
    }
    return true;
}

static bool gather(struct step *s)
{
    int64_t columns = last_of(s->in[0]), rows = s->in[0]->dims.size[0];
    s->out->dims = (struct trt_dims){2, {s->in[1]->dims.size[0], columns}};
    if (!room(s))
        return false;
    for (int64_t i = 0; i < s->out->dims.size[0]; i++) {
        int64_t row = (int64_t)s->in[1]->data[i];
        if (row < 0 || row >= rows)
            return fake_refuse("row %ld of %ld", (long)row, (long)rows);
        memcpy(s->out->data + i * columns, s->in[0]->data + row * columns,
               (size_t)columns * sizeof(float));
    }
    return true;
}

static bool mean(struct step *s)
{
    int64_t columns = last_of(s->in[0]);
    s->out->dims = s->in[0]->dims;
    s->out->dims.size[s->out->dims.count - 1] = 1;
    if (!room(s))
        return false;
    for (size_t i = 0; i < fake_count(&s->out->dims); i++) {
        double sum = 0;
        for (int64_t k = 0; k < columns; k++)
            sum += (double)s->in[0]->data[(int64_t)i * columns + k];
        s->out->data[i] = (float)(sum / (double)columns);
    }
    return true;
}

static void softmax_row(const float *from, float *to, int64_t count)
{
    float most = -INFINITY;
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmaxf(most, from[i]);
    for (int64_t i = 0; i < count; i++)
        sum += (double)(to[i] = expf(from[i] - most));
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)((double)to[i] / sum);
}

static bool softmax(struct step *s)
{
    int64_t columns = last_of(s->in[0]);
    s->out->dims = s->in[0]->dims;
    if (!room(s))
        return false;
    for (size_t i = 0; i < fake_count(&s->out->dims); i += (size_t)columns)
        softmax_row(s->in[0]->data + i, s->out->data + i, columns);
    return true;
}

static bool copy(struct step *s)
{
    if (!room(s))
        return false;
    memcpy(s->out->data, s->in[0]->data, fake_count(&s->out->dims) * sizeof(float));
    return true;
}

static bool cast(struct step *s)
{
    s->out->dims = s->in[0]->dims;
    return copy(s);
}

static bool reshape(struct step *s)
{
    const struct trt_dims *wanted = &s->node->dims;
    size_t count = fake_count(&s->in[0]->dims), known = 1;
    s->out->dims = *wanted;
    for (int32_t i = 0; i < wanted->count; i++) {
        if (wanted->size[i] == 0)
            s->out->dims.size[i] = s->in[0]->dims.size[i];
        known *= wanted->size[i] < 0 ? 1 : (size_t)s->out->dims.size[i];
    }
    for (int32_t i = 0; i < wanted->count; i++)
        if (wanted->size[i] < 0)
            s->out->dims.size[i] = (int64_t)(count / known);
    if (fake_count(&s->out->dims) != count)
        return fake_refuse("a reshape from %zu to %zu elements", count, fake_count(&s->out->dims));
    return copy(s);
}

static bool transpose(struct step *s)
{
    const int64_t *size = s->in[0]->dims.size;
    s->out->dims = (struct trt_dims){3, {size[1], size[0], size[2]}};
    if (!room(s))
        return false;
    for (int64_t i = 0; i < size[0]; i++)
        for (int64_t k = 0; k < size[1]; k++)
            memcpy(s->out->data + (k * size[0] + i) * size[2],
                   s->in[0]->data + (i * size[1] + k) * size[2], (size_t)size[2] * sizeof(float));
    return true;
}

static bool slice(struct step *s)
{
    int64_t columns = last_of(s->in[0]), start = s->node->argument[0];
    int64_t size = s->node->argument[1] < 0 ? columns - start : s->node->argument[1];
    if (start + size > columns)
        return fake_refuse("a slice to %ld of %ld", (long)(start + size), (long)columns);
    s->out->dims = s->in[0]->dims;
    s->out->dims.size[s->out->dims.count - 1] = size;
    if (!room(s))
        return false;
    size_t rows = fake_count(&s->in[0]->dims) / (size_t)columns;
    for (size_t i = 0; i < rows; i++)
        memcpy(s->out->data + i * (size_t)size, s->in[0]->data + i * (size_t)columns + start,
               (size_t)size * sizeof(float));
    return true;
}

static bool join(struct step *s)
{
    size_t a = (size_t)last_of(s->in[0]), b = (size_t)last_of(s->in[1]);
    size_t rows = fake_count(&s->in[0]->dims) / a;
    s->out->dims = s->in[0]->dims;
    s->out->dims.size[s->out->dims.count - 1] = (int64_t)(a + b);
    if (fake_count(&s->in[1]->dims) != rows * b)
        return fake_refuse("a concatenation of other sizes");
    if (!room(s))
        return false;
    for (size_t i = 0; i < rows; i++) {
        memcpy(s->out->data + i * (a + b), s->in[0]->data + i * a, a * sizeof(float));
        memcpy(s->out->data + i * (a + b) + a, s->in[1]->data + i * b, b * sizeof(float));
    }
    return true;
}

/* What is kept of a sum so far. */
static double rounded(const struct step *s, double sum)
{
    return s->node->type == TRT_HALF ? (double)half_to_float(half_from_float((float)sum)) : sum;
}

static bool multiply(struct step *s)
{
    const struct value *a = s->in[0], *b = s->in[1];
    int32_t rank = a->dims.count;
    bool transposed = s->node->argument[0];
    int64_t n = a->dims.size[rank - 2], k = a->dims.size[rank - 1];
    int64_t m = b->dims.size[transposed ? rank - 2 : rank - 1];
    if (b->dims.size[transposed ? rank - 1 : rank - 2] != k ||
        (rank == 3 && a->dims.size[0] != b->dims.size[0]) || rank > 3)
        return fake_refuse("a product of sizes that do not fit");
    s->out->dims = a->dims;
    s->out->dims.size[rank - 1] = m;
    if (!room(s))
        return false;
    for (int64_t i = 0; i < (int64_t)fake_count(&s->out->dims); i++) {
        int64_t batch = i / (n * m), row = i / m % n, column = i % m;
        const float *x = a->data + (batch * n + row) * k, *y = b->data + batch * k * m;
        double sum = 0;
        for (int64_t j = 0; j < k; j++) {
            float product = x[j] * y[transposed ? column * k + j : j * m + column];
            sum = rounded(s, sum + (double)product);
        }
        s->out->data[i] = (float)sum;
    }
    return true;
}

static bool largest(struct step *s)
{
    int64_t columns = last_of(s->in[0]);
    s->out->dims = (struct trt_dims){2, {s->in[0]->dims.size[0], 1}};
    if (!room(s))
        return false;
    for (int64_t i = 0; i < s->out->dims.size[0]; i++) {
        const float *row = s->in[0]->data + i * columns;
        int64_t best = 0;
        for (int64_t k = 1; k < columns; k++)
            best = row[k] > row[best] ? k : best;
        s->out->data[i] = (float)best;
    }
    return true;
}

static bool rotate(struct step *s)
{
    const int64_t *size = s->in[0]->dims.size;
    int64_t half = size[3] / 2;
    s->out->dims = s->in[0]->dims;
    if (last_of(s->in[1]) != half || s->in[3]->dims.size[1] != size[2])
        return fake_refuse("a rotation by other sizes");
    if (!room(s))
        return false;
    for (int64_t row = 0; row < size[1] * size[2]; row++) {
        int64_t table = (int64_t)s->in[3]->data[row % size[2]] * half;
        const float *x = s->in[0]->data + row * size[3];
        float *y = s->out->data + row * size[3];
        for (int64_t i = 0; i < half; i++) {
            float c = s->in[1]->data[table + i], sine = s->in[2]->data[table + i];
            y[i] = x[i] * c - x[half + i] * sine;
            y[half + i] = x[half + i] * c + x[i] * sine;
        }
    }
    return true;
}

static bool update(struct step *s)
{
    const int64_t *size = s->in[0]->dims.size, rows = s->in[1]->dims.size[2];
    int64_t start = (int64_t)s->in[2]->data[0], d = size[3];
    s->out->dims = s->in[0]->dims;
    if (start + rows > size[2])
        return fake_refuse("an update beyond the cache's %ld", (long)size[2]);
    if (!copy(s))
        return false;
    for (int64_t h = 0; h < size[1]; h++)
        memcpy(s->out->data + (h * size[2] + start) * d, s->in[1]->data + h * rows * d,
               (size_t)(rows * d) * sizeof(float));
    return true;
}

static bool attend(struct step *s)
{
    const int64_t *q = s->in[0]->dims.size, *k = s->in[1]->dims.size;
    int64_t d = q[3], group = q[1] / k[1];
    float *scores = calloc((size_t)k[2], sizeof *scores);
    s->out->dims = s->in[0]->dims;
    if (!scores || !room(s)) {
        free(scores);
        return fake_refuse("no memory");
    }
    for (int64_t row = 0; row < q[1] * q[2]; row++) {
        int64_t keys = row / q[2] / group * k[2] * d;
        const float *x = s->in[0]->data + row * d;
        for (int64_t i = 0; i < k[2]; i++) {
            const struct trt_dims whole = {4, {1, q[1], q[2], k[2]}};
            scores[i] = at(s->in[3], &whole, (size_t)(row * k[2] + i)) != 0 ? 0 : -INFINITY;
            for (int64_t j = 0; j < d; j++)
                scores[i] += x[j] * s->in[1]->data[keys + i * d + j];
        }
        softmax_row(scores, scores, k[2]);
        for (int64_t i = 0; i < k[2]; i++)
            for (int64_t j = 0; j < d; j++)
                s->out->data[row * d + j] += scores[i] * s->in[2]->data[keys + i * d + j];
    }
    free(scores);
    return true;
}

static bool constant(struct step *s)
{
    s->out->dims = s->node->dims;
    if (!room(s))
        return false;
    fake_read(s->node->type, s->node->data, s->out->data, fake_count(&s->out->dims));
    return true;
}

bool fake_compute(const struct trt_network *network, int32_t index, struct value *values)
{
    static bool (*const operations[])(struct step *) = {
        [OP_CONSTANT] = constant, [OP_GATHER] = gather,   [OP_BINARY] = binary,
        [OP_UNARY] = unary,       [OP_MEAN] = mean,       [OP_SOFTMAX] = softmax,
        [OP_CAST] = cast,         [OP_RESHAPE] = reshape, [OP_TRANSPOSE] = transpose,
        [OP_SLICE] = slice,       [OP_JOIN] = join,       [OP_MULTIPLY] = multiply,
        [OP_SELECT] = choose,     [OP_LARGEST] = largest, [OP_ROTATE] = rotate,
        [OP_UPDATE] = update,     [OP_ATTEND] = attend};
    struct step s = {.node = &network->node[index], .out = &values[index]};
    for (int i = 0; i < 5; i++)
        s.in[i] = &values[s.node->in[i]];
    return operations[s.node->op](&s);
}
