#include "hub/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "hub/fetch.h"
#include "hub/inventory.h"
#include "model/gguf/gguf_split.h"

enum { LIST_BYTES = 16 << 20, PAGE_LIMIT = 100 };

/* One call of hub_get. */
struct work {
    const struct hub_options *options;
    const struct hub_name *name;
    struct http_client client;
    struct hub_listing listing;
    char folder[PATH_MAX / 2]; /* of the repository */
    uint64_t done_bytes, total_bytes, fetched_bytes;
    int lock_fd;
};

enum status hub_options_environment(struct hub_options *options, struct error *err)
{
    const char *token = getenv("HF_TOKEN"), *offline = getenv("HF_HUB_OFFLINE");
    options->token = token && *token ? token : NULL;
    options->offline = offline && *offline && strcmp(offline, "0") != 0 &&
                       strcasecmp(offline, "false") != 0 && strcasecmp(offline, "no") != 0;
    return hub_endpoint_parse(options->endpoint, getenv("HF_ENDPOINT"), err);
}

static bool go_on(void *context)
{
    const struct work *work = context;
    return work->options->report(work->options->context, work->done_bytes, work->total_bytes);
}

static void note(void *context, const char *text)
{
    const struct work *work = context;
    work->options->note(work->options->context, text);
}

static void count_bytes(void *context, int64_t bytes)
{
    struct work *work = context;
    work->done_bytes += (uint64_t)bytes;
    work->fetched_bytes += bytes > 0 ? (uint64_t)bytes : 0;
}

/* The text of a page of the list. */
struct page {
    struct http_sink sink; /* first: the callbacks cast back */
    char *text;
};

static enum status page_restart(struct http_sink *sink, struct error *err)
{
    (void)err;
    sink->have_bytes = 0;
    return STATUS_OK;
}

static enum status page_write(struct http_sink *sink, const void *data, size_t bytes,
                              struct error *err)
{
    struct page *page = (struct page *)sink;
    if (bytes > LIST_BYTES - sink->have_bytes)
        return error_set(err, STATUS_FORMAT, "the hub's list is longer than %d bytes", LIST_BYTES);
    memcpy(page->text + sink->have_bytes, data, bytes);
    sink->have_bytes += bytes;
    return STATUS_OK;
}

static enum status list_read(struct work *work, struct error *err)
{
    struct page page = {
        .sink = {.total_bytes = HTTP_UNKNOWN, .restart = page_restart, .write = page_write}};
    char url[HUB_URL_BYTES], next[HUB_URL_BYTES];
    enum status status = STATUS_OK;
    page.text = malloc(LIST_BYTES);
    if (!page.text)
        return error_no_memory(err, LIST_BYTES);
    hub_url_tree(url, work->options->endpoint, work->name->repo);
    for (int pages = 0; !status && url[0]; pages++) {
        status = pages < PAGE_LIMIT ? http_get(&work->client, url, &page.sink, next, err)
                                    : error_set(err, STATUS_FORMAT, "the hub's list has no end");
        if (!status)
            status = hub_listing_add(&work->listing, page.text, page.sink.have_bytes, err);
        snprintf(url, sizeof url, "%s", next);
    }
    free(page.text);
    return status ? status : hub_listing_select(&work->listing, work->name, err);
}

/* Whether a lock file is still the one of that name: 'model rm' takes it away with its folder. */
static bool lock_is_current(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

/* Waits while another process fetches from the same repository. */
static enum status lock_take(struct work *work, struct error *err)
{
    char path[PATH_MAX];
    const struct timespec slice = {.tv_nsec = 100 * 1000000};
    snprintf(path, sizeof path, "%s/.lock", work->folder);
    work->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (work->lock_fd < 0) {
        error_errno(err, "create the lock");
        return error_where(err, "%s", path);
    }
    for (bool told = false; flock(work->lock_fd, LOCK_EX | LOCK_NB) != 0; told = true) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_errno(err, "lock %.300s", path);
        if (!told)
            note(work, "Another process is fetching from this repository; waiting for it.");
        if (!go_on(work))
            return error_set(err, STATUS_INTERRUPTED, "interrupted");
        nanosleep(&slice, NULL);
    }
    if (lock_is_current(work->lock_fd, path))
        return STATUS_OK;
    error_set(err, STATUS_IO, "the model was removed while this waited for it");
    error_where(err, "%s", work->folder);
    return error_remedy(err, "Run the same command again.");
}

static void place_of(const struct work *work, const char *file, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", work->folder, file);
}

/* Leaves in the listing what is to be fetched, and counts what is here already. */
static enum status present_drop(struct work *work, uint64_t *held_bytes, struct error *err)
{
    size_t kept = 0;
    *held_bytes = 0;
    for (size_t i = 0; i < work->listing.count; i++)
        work->total_bytes += work->listing.files[i].bytes;
    for (size_t i = 0; i < work->listing.count; i++) {
        struct hub_file *file = &work->listing.files[i];
        char path[PATH_MAX];
        bool same;
        place_of(work, file->path, path);
        if (fetch_check(file, path, &work->client, &same, err))
            return err->status;
        if (same) {
            work->done_bytes += file->bytes;
            continue;
        }
        uint64_t held = fetch_held_bytes(file, path);
        *held_bytes += held < file->bytes ? held : file->bytes;
        work->done_bytes += held;
        work->listing.files[kept++] = *file;
    }
    work->listing.count = kept;
    return STATUS_OK;
}

static enum status space_check(const struct work *work, uint64_t held_bytes, struct error *err)
{
    uint64_t free_bytes, need_bytes = 0;
    for (size_t i = 0; i < work->listing.count; i++)
        need_bytes += work->listing.files[i].bytes;
    need_bytes -= held_bytes;
    if (disk_free_bytes(work->folder, &free_bytes, err))
        return err->status;
    if (need_bytes <= free_bytes)
        return STATUS_OK;
    error_set(err, STATUS_IO, "the disk has %.3f GB left, and %.3f GB are still to come",
              (double)free_bytes / 1e9, (double)need_bytes / 1e9);
    error_where(err, "%s", work->folder);
    return error_remedy(err, "Free some space, or set PRONY_CACHE to a folder on another disk.");
}

static enum status fetch_all(struct work *work, struct error *err)
{
    const struct fetch_count count = {count_bytes, work};
    for (size_t i = 0; i < work->listing.count; i++) {
        const struct hub_file *file = &work->listing.files[i];
        char url[HUB_URL_BYTES], path[PATH_MAX], parent[PATH_MAX];
        place_of(work, file->path, path);
        snprintf(parent, sizeof parent, "%s", path);
        *strrchr(parent, '/') = '\0';
        hub_url_file(url, work->options->endpoint, work->name->repo, file->path);
        if (folder_make(parent, err) || fetch_file(&work->client, file, url, path, &count, err))
            return err->status;
    }
    return STATUS_OK;
}

/* The model's own path: the file that was named, or its GGUF (the first part), else the folder. */
static void model_path(const struct work *work, char path[PATH_MAX])
{
    char model[HUB_PATH_BYTES];
    hub_path_of_model(work->listing.files[0].path, model);
    if (work->name->file[0])
        place_of(work, work->name->file, path);
    else if (hub_path_is_gguf(model))
        place_of(work, model, path);
    else
        snprintf(path, PATH_MAX, "%s", work->folder);
}

/* Fetches what is missing, and notes what a model of several files is made of. */
static enum status fetch_missing(struct work *work, struct error *err)
{
    uint64_t held_bytes;
    struct hub_listing whole;
    if (hub_listing_copy(&whole, &work->listing, err))
        return err->status;
    enum status status = present_drop(work, &held_bytes, err);
    if (!status)
        status = space_check(work, held_bytes, err);
    if (!status && !work->name->file[0] && work->listing.count > 0)
        inventory_remove(work->folder);
    if (!status)
        status = fetch_all(work, err);
    if (!status && !work->name->file[0])
        status = inventory_write(work->folder, &whole, err);
    hub_listing_free(&whole);
    return status;
}

static enum status get_online(struct work *work, char path[PATH_MAX], struct error *err)
{
    if (list_read(work, err))
        return err->status;
    model_path(work, path);
    if (folder_make(work->folder, err) || lock_take(work, err))
        return err->status;
    return fetch_missing(work, err);
}

static enum status get_offline(const struct work *work, char path[PATH_MAX], struct error *err)
{
    if (hub_find(work->name, path, err) == STATUS_OK)
        return STATUS_OK;
    if (err->status != STATUS_NOT_FOUND)
        return err->status;
    error_set(err, STATUS_NOT_FOUND, "%s is not here, and HF_HUB_OFFLINE is set", work->name->repo);
    error_where(err, "%s", work->folder);
    return error_remedy(err, "Unset HF_HUB_OFFLINE.");
}

static enum status folder_of(const struct hub_name *name, char folder[PATH_MAX / 2],
                             struct error *err)
{
    char cache[PATH_MAX / 4];
    if (cache_folder(cache, sizeof cache, "models", err))
        return err->status;
    snprintf(folder, PATH_MAX / 2, "%s/%s", cache, name->repo);
    return STATUS_OK;
}

/* Whether a file is here, and where it is a part of a GGUF all others. One has its name only when
 * it is whole. */
static bool file_is_here(const char *path)
{
    char part[PATH_MAX];
    uint32_t number, count;
    bool here = path_is_file(path);
    snprintf(part, sizeof part, "%s", path);
    if (!here || !gguf_part_name(path, &number, &count))
        return here;
    for (number = 1; number <= count && here; number++) {
        gguf_part_path(part, number);
        here = path_is_file(part);
    }
    return here;
}

enum status hub_find(const struct hub_name *name, char path[PATH_MAX], struct error *err)
{
    char folder[PATH_MAX / 2];
    if (folder_of(name, folder, err))
        return err->status;
    snprintf(path, PATH_MAX, "%s/%s", folder, name->file);
    if (name->file[0] ? file_is_here(path) : inventory_find(folder, path))
        return STATUS_OK;
    error_set(err, STATUS_NOT_FOUND, "%s%s%.200s is not on this machine", name->repo,
              name->file[0] ? ":" : "", name->file);
    return error_where(err, "%s", folder);
}

static enum status work_open(struct work *work, const struct hub_name *name,
                             const struct hub_options *options, char page[HUB_URL_BYTES],
                             struct error *err)
{
    *work = (struct work){.options = options, .name = name, .lock_fd = -1};
    if (folder_of(name, work->folder, err))
        return err->status;
    snprintf(page, HUB_URL_BYTES, "%.600s/%s", options->endpoint, name->repo);
    work->client = (struct http_client){.token = options->token,
                                        .page = page,
                                        .retries = options->retries,
                                        .stall_s = options->stall_s,
                                        .go_on = go_on,
                                        .note = note,
                                        .context = work};
    return options->offline ? STATUS_OK : http_client_open(&work->client, err);
}

static void work_close(struct work *work)
{
    http_client_close(&work->client);
    hub_listing_free(&work->listing);
    if (work->lock_fd >= 0)
        close(work->lock_fd);
}

enum status hub_get(const struct hub_name *name, const struct hub_options *options,
                    char path[PATH_MAX], uint64_t *bytes, uint64_t *fetched_bytes,
                    struct error *err)
{
    char page[HUB_URL_BYTES];
    struct work work;
    enum status status = work_open(&work, name, options, page, err);
    if (!status)
        status = options->offline ? get_offline(&work, path, err) : get_online(&work, path, err);
    work_close(&work);
    *bytes = work.total_bytes;
    *fetched_bytes = work.fetched_bytes;
    return status;
}

enum status hub_need(const struct hub_name *name, const struct hub_options *options,
                     struct hub_need *need, struct error *err)
{
    char page[HUB_URL_BYTES];
    struct work work;
    *need = (struct hub_need){0};
    enum status status = work_open(&work, name, options, page, err);
    if (!status && options->offline)
        status = get_offline(&work, need->folder, err);
    else if (!status)
        status = list_read(&work, err);
    for (size_t i = 0; !status && i < work.listing.count; i++) {
        char file[PATH_MAX];
        const struct hub_file *wanted = &work.listing.files[i];
        place_of(&work, wanted->path, file);
        uint64_t held = path_is_file(file) ? wanted->bytes : fetch_held_bytes(wanted, file);
        need->total_bytes += wanted->bytes;
        need->missing_bytes += wanted->bytes - (held < wanted->bytes ? held : wanted->bytes);
    }
    snprintf(need->folder, sizeof need->folder, "%s", work.folder);
    if (!status)
        status = disk_free_bytes(work.folder, &need->free_bytes, err);
    work_close(&work);
    return status;
}
