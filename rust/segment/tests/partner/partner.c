// A partner on Windows: makes and opens sections with the same calls as CPython's
// `mmap.mmap(-1, size, tagname=name)` and `multiprocessing.shared_memory.SharedMemory`. It reads commands from
// its standard input, one per line, and answers each with a line. ./build.sh test-windows builds and starts it.
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static HANDLE section;
static char *view;
static size_t length;

static void answer(const char *text) {
  printf("answer: %s\n", text);
  fflush(stdout);
}

static void failed(const char *call) {
  printf("answer: %s failed: %lu\n", call, GetLastError());
  fflush(stdout);
}

static const WCHAR *wide(const char *name) {
  static WCHAR buffer[1024];
  MultiByteToWideChar(CP_UTF8, 0, name, -1, buffer, 1024);
  return buffer;
}

static HANDLE create_mapping(const char *name, size_t size) {
  return CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, (DWORD)((unsigned long long)size >> 32),
                            (DWORD)(size & 0xFFFFFFFF), wide(name));
}

// mmap.mmap(-1, size, tagname=name): makes the section, or opens the existing one, and then answers `opened`.
static void map(const char *name, size_t size, const char *opened) {
  HANDLE handle = create_mapping(name, size);
  if (handle == NULL) {
    failed("CreateFileMappingW");
    return;
  }
  int existed = GetLastError() == ERROR_ALREADY_EXISTS;
  char *mapped = MapViewOfFile(handle, FILE_MAP_WRITE, 0, 0, size);
  if (mapped == NULL) {
    failed("MapViewOfFile");
    CloseHandle(handle);
    return;
  }
  section = handle, view = mapped, length = size;
  answer(existed ? opened : "made");
}

// SharedMemory(name, create=True, size=size): checks whether the section exists, then maps it as above.
static void create(const char *name, size_t size) {
  HANDLE handle = create_mapping(name, size);
  if (handle == NULL) {
    failed("CreateFileMappingW");
    return;
  }
  if (GetLastError() == ERROR_ALREADY_EXISTS) {
    CloseHandle(handle);
    answer("exists");
    return;
  }
  map(name, size, "made");
  CloseHandle(handle);
}

// SharedMemory(name): asks a view for the size, then maps it as above.
static void attach(const char *name) {
  HANDLE handle = OpenFileMappingW(FILE_MAP_READ, FALSE, wide(name));
  if (handle == NULL) {
    failed("OpenFileMappingW");
    return;
  }
  void *probe = MapViewOfFile(handle, FILE_MAP_READ, 0, 0, 0);
  MEMORY_BASIC_INFORMATION information;
  if (probe == NULL || VirtualQuery(probe, &information, sizeof information) == 0) {
    failed("VirtualQuery");
    CloseHandle(handle);
    return;
  }
  UnmapViewOfFile(probe);
  map(name, information.RegionSize, "opened");
  CloseHandle(handle);
}

static void let_go(void) {
  if (view != NULL) UnmapViewOfFile(view);
  if (section != NULL) CloseHandle(section);
  view = NULL, section = NULL, length = 0;
}

int main(void) {
  static char line[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *command = strtok(line, " \r\n");
    char *first = strtok(NULL, " \r\n");
    char *second = strtok(NULL, " \r\n");
    size_t offset = first == NULL ? 0 : (size_t)strtoull(first, NULL, 10);
    size_t count = second == NULL ? 0 : (size_t)strtoull(second, NULL, 10);
    if (command == NULL) {
      answer("no command");
    } else if (strcmp(command, "map") == 0 && second != NULL) {
      map(first, count, "opened");
    } else if (strcmp(command, "create") == 0 && second != NULL) {
      create(first, count);
    } else if (strcmp(command, "attach") == 0 && first != NULL) {
      attach(first);
    } else if (strcmp(command, "size") == 0) {
      printf("answer: %llu\n", (unsigned long long)length);
      fflush(stdout);
    } else if (strcmp(command, "write") == 0 && second != NULL && offset + strlen(second) <= length) {
      memcpy(view + offset, second, strlen(second));
      answer("written");
    } else if (strcmp(command, "read") == 0 && second != NULL && offset + count <= length) {
      printf("answer: %.*s\n", (int)count, view + offset);
      fflush(stdout);
    } else if (strcmp(command, "close") == 0) {
      let_go();
      answer("closed");
    } else if (strcmp(command, "die") == 0) {
      TerminateProcess(GetCurrentProcess(), 9);
    } else {
      answer("cannot do that");
    }
  }
  return 0;
}
