/** Stands for no account and no key: before all of them. */
export const nobody = '00000000-0000-0000-0000-000000000000'
