import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { router } from './lib/router.svelte';
import { theme } from './lib/theme.svelte';

theme.start();
// Before anything renders: the address may carry the token.
router.start();

const target = document.getElementById('app');
if (!target) throw new Error('the page has no #app');
mount(App, { target });
