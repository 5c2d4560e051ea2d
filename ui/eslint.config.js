/** Lint rules. The import boundaries are the architecture: views -> components | state -> api -> domain. */
import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

/** What each layer may not reach for; everything not named here lies to its right. */
const forbidden = {
  domain: ['api', 'state', 'components', 'views'],
  api: ['state', 'components', 'views'],
  state: ['components', 'views'],
  components: ['api', 'state', 'views'],
};

const boundary = ([layer, layers]) => ({
  files: [`src/${layer}/**/*.{ts,tsx}`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: layers.map((name) => ({
          group: [`@/${name}/**`, `@/${name}`, `**/../${name}/**`],
          message: `${layer} must not import ${name}: views -> components | state -> api -> domain`,
        })),
      },
    ],
  },
});

export default tseslint.config(
  { ignores: ['node_modules', 'src/api/schema.d.ts', 'scripts/*.mjs'] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { 'react-hooks': reactHooks },
    rules: {
      ...reactHooks.configs.recommended.rules,
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/consistent-type-definitions': ['error', 'interface'],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ImportDeclaration[source.value=/^\\.\\.\\/\\.\\.\\/(api|domain|state|components|views)/]', message: 'cross layers by @/' },
      ],
      // The router's redirects are thrown, and the virtualiser's results are not memoised anyway.
      '@typescript-eslint/only-throw-error': ['error', { allow: [{ from: 'package', package: '@tanstack/router-core', name: 'Redirect' }] }],
      'react-hooks/incompatible-library': 'off',
      eqeqeq: 'error',
      'max-lines': ['error', 600],
      complexity: ['error', 15],
    },
  },
  ...Object.entries(forbidden).map(boundary),
  { files: ['src/domain/**/*.ts'], ignores: ['**/*.test.ts'], rules: { 'no-restricted-globals': ['error', 'window', 'document', 'localStorage', 'fetch', 'Date'] } },
  { files: ['**/*.test.{ts,tsx}', 'bench/**'], rules: { '@typescript-eslint/no-non-null-assertion': 'off' } },
  { files: ['fixture/**'], rules: { complexity: 'off' } },
  { files: ['src/testing/**'], rules: { '@typescript-eslint/no-empty-function': 'off' } },
  { files: ['eslint.config.js'], extends: [tseslint.configs.disableTypeChecked] },
);
