/** Mantine in our own colours, sizes and radii; the colours themselves are tokens in styles/tokens.css. */

import { ActionIcon, Button, createTheme, Modal, Popover, SegmentedControl, Tooltip, type CSSVariablesResolver } from '@mantine/core';

export const theme = createTheme({
  primaryColor: 'indigo',
  // Mantine's own dark greys are warm; ours lean to the accent.
  colors: { dark: ['#e8ebf0', '#c9d0da', '#9aa5b4', '#6b7686', '#434c5a', '#2b313b', '#1f242c', '#1b1f26', '#14171c', '#0f1216'] },
  fontFamily: "'Inter Variable', system-ui, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono Variable', ui-monospace, monospace",
  fontSizes: { xs: '12px', sm: '13px', md: '13px', lg: '15px', xl: '17px' },
  headings: { fontWeight: '600' },
  defaultRadius: 6,
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    Button: Button.extend({ defaultProps: { size: 'xs' }, classNames: { root: 'button', section: 'button-section' } }),
    ActionIcon: ActionIcon.extend({ defaultProps: { variant: 'subtle', color: 'gray' } }),
    SegmentedControl: SegmentedControl.extend({ classNames: { root: 'segments', indicator: 'segments-indicator', label: 'segments-label' }, defaultProps: { withItemsBorders: false } }),
    Popover: Popover.extend({ defaultProps: { transitionProps: { duration: 100 } } }),
    Modal: Modal.extend({ defaultProps: { transitionProps: { duration: 120 } } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 300, transitionProps: { duration: 100 } } }),
  },
});

/** Points Mantine's variables at our tokens, so that both themes follow one table. */
export const cssVariables: CSSVariablesResolver = () => {
  const both = {
    '--mantine-color-body': 'var(--panel)',
    '--mantine-color-text': 'var(--ink)',
    '--mantine-color-dimmed': 'var(--dim)',
    '--mantine-color-placeholder': 'var(--faint)',
    '--mantine-color-anchor': 'var(--accent)',
    '--mantine-color-error': 'var(--bad)',
    '--mantine-color-default': 'var(--panel)',
    '--mantine-color-default-hover': 'var(--hover)',
    '--mantine-color-default-color': 'var(--ink)',
    '--mantine-color-default-border': 'var(--line-strong)',
    '--mantine-color-gray-light-color': 'var(--dim)',
    '--mantine-color-indigo-filled': 'var(--accent)',
    '--mantine-color-indigo-filled-hover': 'color-mix(in srgb, var(--accent) 86%, var(--ink))',
    '--mantine-color-indigo-light': 'var(--accent-soft)',
    '--mantine-color-indigo-light-hover': 'var(--accent-soft)',
    '--mantine-color-indigo-light-color': 'var(--accent)',
    '--mantine-color-red-filled': 'var(--bad)',
    '--mantine-primary-color-filled': 'var(--accent)',
    '--mantine-primary-color-light': 'var(--accent-soft)',
    '--mantine-primary-color-light-color': 'var(--accent)',
  };
  return { variables: {}, light: both, dark: { ...both, '--mantine-primary-color-contrast': '#14171c' } };
};
