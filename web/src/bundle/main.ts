// The page of a bundle: it reads the data that stand in it, and nothing else.
import { mount } from 'svelte';
import '../app.css';
import { theme } from '../lib/theme.svelte';
import Bundle from './Bundle.svelte';
import './bundle.css';
import type { BundleData } from './data';

const target = document.getElementById('app');
const holder = document.getElementById('bundle');
if (!target || !holder) throw new Error('the page has no #app or no #bundle');
theme.start();
mount(Bundle, { target, props: { data: JSON.parse(holder.textContent ?? '') as BundleData } });
