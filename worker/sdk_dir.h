/* Where the modules for authors of handlers are. */
#ifndef JM_SDK_DIR_H
#define JM_SDK_DIR_H

/* The directory of jobmill.py and jobmill.mjs: share/jobmill/sdk beside the directory of this
 * program. The caller frees; NULL when there is none. */
char *jm_sdk_dir_find(void);

#endif
