/* A reader of JSON for tests: trusted files, strings without escapes. Values are a tree in one growing array. */
#ifndef ARGPICK_TEST_JSON_H
#define ARGPICK_TEST_JSON_H

#include "check.h"

typedef enum { JSON_NONE, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_OBJECT } json_type;

typedef struct {
  json_type type;
  double number;
  const char *text; /* of a string; not terminated */
  size_t length;
  const char *key; /* of a member of an object */
  size_t key_length;
  size_t first, next; /* first child and next sibling; 0 is none */
  size_t count;       /* children */
} json_value;

typedef struct {
  json_value *values;
  size_t count, capacity;
  const char *at;
} json_reader;

static inline void json_space(json_reader *reader) {
  while (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t') {
    reader->at++;
  }
}

static inline void json_expect(json_reader *reader, char c) {
  json_space(reader);
  CHECK(*reader->at == c);
  reader->at++;
}

static inline size_t json_string(json_reader *reader, const char **text) {
  json_expect(reader, '"');
  *text = reader->at;
  while (*reader->at != '"') {
    CHECK(*reader->at != '\0' && *reader->at != '\\');
    reader->at++;
  }
  return (size_t)(reader->at++ - *text);
}

static inline size_t json_new(json_reader *reader) {
  if (reader->count == reader->capacity) {
    reader->capacity = reader->capacity == 0 ? 1024 : 2 * reader->capacity;
    reader->values = realloc(reader->values, reader->capacity * sizeof *reader->values);
    CHECK(reader->values != NULL);
  }
  memset(&reader->values[reader->count], 0, sizeof *reader->values);
  return reader->count++;
}

/* Reads a value and all below it; its index. */
static inline size_t json_read(json_reader *reader) {
  size_t own = json_new(reader);
  json_space(reader);
  if (*reader->at == '[' || *reader->at == '{') {
    int object = *reader->at == '{';
    char end = object ? '}' : ']';
    size_t last = 0;
    reader->values[own].type = object ? JSON_OBJECT : JSON_LIST;
    reader->at++;
    json_space(reader);
    while (*reader->at != end) {
      const char *key = NULL;
      size_t key_length = 0, child;
      if (object) {
        key_length = json_string(reader, &key);
        json_expect(reader, ':');
      }
      child = json_read(reader);
      reader->values[child].key = key;
      reader->values[child].key_length = key_length;
      if (last == 0) {
        reader->values[own].first = child;
      } else {
        reader->values[last].next = child;
      }
      last = child;
      reader->values[own].count++;
      json_space(reader);
      if (*reader->at != end) {
        json_expect(reader, ',');
        json_space(reader);
      }
    }
    reader->at++;
  } else if (*reader->at == '"') {
    const char *text;
    size_t length = json_string(reader, &text);
    reader->values[own].type = JSON_STRING;
    reader->values[own].text = text;
    reader->values[own].length = length;
  } else {
    char *end;
    reader->values[own].type = JSON_NUMBER;
    reader->values[own].number = strtod(reader->at, &end);
    CHECK(end != reader->at);
    reader->at = end;
  }
  return own;
}

static inline int json_is(const char *text, size_t length, const char *name) {
  return strlen(name) == length && memcmp(text, name, length) == 0;
}

/* A member of an object; NULL if there is none. */
static inline const json_value *json_member(const json_reader *reader, const json_value *object, const char *name) {
  size_t child;
  CHECK(object->type == JSON_OBJECT);
  for (child = object->first; child != 0; child = reader->values[child].next) {
    if (json_is(reader->values[child].key, reader->values[child].key_length, name)) {
      return &reader->values[child];
    }
  }
  return NULL;
}

/* A member that must be there. */
static inline const json_value *json_get(const json_reader *reader, const json_value *object, const char *name) {
  const json_value *found = json_member(reader, object, name);
  CHECK(found != NULL);
  return found;
}

/* Refuses an object with a member that is not in the list, whose last entry is NULL. */
static inline void json_only(const json_reader *reader, const json_value *object, const char *const *names) {
  size_t child, i;
  CHECK(object->type == JSON_OBJECT);
  for (child = object->first; child != 0; child = reader->values[child].next) {
    const json_value *member = &reader->values[child];
    for (i = 0; names[i] != NULL && !json_is(member->key, member->key_length, names[i]); i++) {
    }
    if (names[i] == NULL) {
      fprintf(stderr, "a field that nobody reads: %.*s\n", (int)member->key_length, member->key);
    }
    CHECK(names[i] != NULL);
  }
}

/* An element of a list. */
static inline const json_value *json_at(const json_reader *reader, const json_value *list, size_t index) {
  size_t child = list->first;
  CHECK(list->type == JSON_LIST && index < list->count);
  for (; index > 0; index--) {
    child = reader->values[child].next;
  }
  return &reader->values[child];
}

static inline const json_value *json_next(const json_reader *reader, const json_value *value) {
  return value->next == 0 ? NULL : &reader->values[value->next];
}

static inline const json_value *json_first(const json_reader *reader, const json_value *value) {
  return value == NULL || value->first == 0 ? NULL : &reader->values[value->first];
}

/* A number, or "-inf". */
static inline float json_float(const json_value *value) {
  if (value->type == JSON_STRING) {
    CHECK(json_is(value->text, value->length, "-inf"));
    return -INFINITY;
  }
  CHECK(value->type == JSON_NUMBER);
  return (float)value->number;
}

static inline uint64_t json_whole(const json_value *value) {
  CHECK(value->type == JSON_NUMBER && value->number >= 0 && value->number == (double)(uint64_t)value->number);
  return (uint64_t)value->number;
}

#endif
