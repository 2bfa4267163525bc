import { mount } from 'svelte';
import App from './App.svelte';
import { live } from './lib/live.svelte';
import { comeBack } from './lib/signin';
import { view } from './lib/view.svelte';
import './app.css';

// A file of another version than this one: the server was replaced meanwhile.
window.addEventListener('vite:preloadError', () => location.reload());

live.notIn = await comeBack();
view.read();
mount(App, { target: document.getElementById('app')! });
