// Loads a library as a program on Windows does: load.exe LIBRARY FUNCTION. Fails if the library can't be loaded, if it
// has no such function, or if it needs anything that the system hasn't got (Wine lets such a library load, and ends the
// program later, when it calls what is missing).
#include <windows.h>

#include <stdio.h>

static const char *at(HMODULE library, DWORD offset) {
  return (const char *)library + offset;
}

// Is it one of the system's own, and not one that whoever built the library happened to have?
static int is_system(HMODULE library) {
  char path[MAX_PATH], system[MAX_PATH];
  UINT length = GetSystemDirectoryA(system, MAX_PATH);
  GetModuleFileNameA(library, path, MAX_PATH);
  return _strnicmp(path, system, length) == 0;
}

// How many of the things that `library` imports are missing.
static int missing_imports(HMODULE library) {
  const IMAGE_DOS_HEADER *dos = (const void *)library;
  const IMAGE_NT_HEADERS *headers = (const void *)at(library, (DWORD)dos->e_lfanew);
  const IMAGE_DATA_DIRECTORY *directory = &headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT];
  const IMAGE_IMPORT_DESCRIPTOR *import = (const void *)at(library, directory->VirtualAddress);
  int missing = 0, found = 0;
  for (; import->Name != 0; import++) {
    const char *name = at(library, import->Name);
    HMODULE from = GetModuleHandleA(name);
    if (from == NULL || !is_system(from)) {
      printf("%s is no library of the system\n", name);
      missing++;
      continue;
    }
    const IMAGE_THUNK_DATA *entry = (const void *)at(library, import->OriginalFirstThunk);
    for (; entry->u1.AddressOfData != 0; entry++) {
      const IMAGE_IMPORT_BY_NAME *function = (const void *)at(library, (DWORD)entry->u1.AddressOfData);
      if (IMAGE_SNAP_BY_ORDINAL(entry->u1.Ordinal)) {
        printf("%s: an import by number, which can't be looked up\n", name);
        missing++;
      } else if (GetProcAddress(from, (const char *)function->Name) == NULL) {
        printf("%s has no %s\n", name, (const char *)function->Name);
        missing++;
      } else {
        found++;
      }
    }
  }
  printf("%d imports found, %d missing\n", found, missing);
  return missing + (found == 0);
}

int main(int count, char **arguments) {
  if (count != 3) {
    printf("usage: load.exe LIBRARY FUNCTION\n");
    return 2;
  }
  HMODULE library = LoadLibraryA(arguments[1]);
  if (library == NULL) {
    printf("%s can't be loaded: %lu\n", arguments[1], GetLastError());
    return 1;
  }
  int failed = missing_imports(library);
  if (GetProcAddress(library, arguments[2]) == NULL) {
    printf("%s is not there\n", arguments[2]);
    failed++;
  } else {
    printf("%s is there\n", arguments[2]);
  }
  if (!FreeLibrary(library)) {
    printf("it can't be unloaded: %lu\n", GetLastError());
    failed++;
  }
  return failed == 0 ? 0 : 1;
}
